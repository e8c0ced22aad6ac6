// Deadlines: work of which each piece has the same time, watched by one timer for all of it.

/** Pieces of work under way. */
export class Deadlines<Work> {
  readonly #timeoutMs: number;
  readonly #onLate: (work: Work) => void;
  /** When the time of each is over, the earliest first. */
  readonly #dueMs = new Map<Work, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onLate` is called for each piece that is still under way after `timeoutMs`; it must not throw. */
  constructor(timeoutMs: number, onLate: (work: Work) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
  }

  /** A piece of work has begun. */
  add(work: Work, nowMs: number): void {
    this.#dueMs.set(work, nowMs + this.#timeoutMs);
    this.#timer ??= this.#wakeIn(this.#timeoutMs);
  }

  /** It is over. */
  delete(work: Work): void {
    this.#dueMs.delete(work);
    if (this.#dueMs.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Everything that is under way. */
  get works(): readonly Work[] {
    return [...this.#dueMs.keys()];
  }

  #wakeIn(ms: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#sweep(performance.now()), ms);
    // A server that does not keep its process alive must not do so by its strangers.
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
