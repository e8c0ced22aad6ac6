// Deadlines: pieces of work that each have the same time, watched by one timer together.

/**
 * Pieces of work under way. Every method may be called at any moment, also from within `onLate`.
 */
export class Deadlines<Work> {
  readonly #timeoutMs: number;
  readonly #onLate: (work: Work) => void;
  /** When the time of each piece is over, by `performance.now`, the earliest first. */
  readonly #dueMs = new Map<Work, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls `onLate` for each piece that is still under way after `timeoutMs`. It must not throw. */
  constructor(timeoutMs: number, onLate: (work: Work) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
  }

  /** Starts the time of a piece of work. */
  add(work: Work, nowMs: number): void {
    this.#dueMs.set(work, nowMs + this.#timeoutMs);
    this.#timer ??= this.#wakeIn(this.#timeoutMs);
  }

  /** Stops the time of a piece of work, because it has finished. */
  delete(work: Work): void {
    this.#dueMs.delete(work);
    if (this.#dueMs.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The pieces that are under way. */
  get works(): readonly Work[] {
    return [...this.#dueMs.keys()];
  }

  #wakeIn(ms: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#sweep(performance.now()), ms);
    // A server that was unreferenced must not keep its process alive by handshakes of strangers.
    Deno.unrefTimer(timer);
    return timer;
  }

  #sweep(nowMs: number): void {
    this.#timer = undefined;
    for (const [work, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) {
        this.#timer = this.#wakeIn(Math.ceil(dueMs - nowMs));
        return;
      }
      this.#dueMs.delete(work);
      this.#onLate(work);
    }
  }
}
