// Turns: so many at a time; others wait in the order in which they came, for as long as they want to.

/** A limit with a queue. */
export class Turns {
  #limit: number;
  #taken = 0;
  readonly #queue = new Set<() => void>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether no turn is taken, and none is waited for. */
  get isIdle(): boolean {
    return this.#taken === 0 && this.#queue.size === 0;
  }

  /** Turns that may be taken at a time. */
  get limit(): number {
    return this.#limit;
  }

  /** Allows other than so many. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#next();
  }

  /** Takes a turn if there is one now and no other waits for it; {@linkcode give} gives it back. */
  tryTake(): boolean {
    if (this.#taken >= this.#limit || this.#queue.size > 0) return false;
    this.#taken++;
    return true;
  }

  /** Waits for a turn; `false` when `timeoutMs` have passed or `signal` has aborted before. */
  async take(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.tryTake()) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const turn = () => resolve(true);
    const leave = () => {
      // At once: a turn that went to a caller that left would be lost.
      this.#queue.delete(turn);
      resolve(false);
    };
    this.#queue.add(turn);
    const timer = setTimeout(leave, timeoutMs);
    signal.addEventListener("abort", leave, { once: true });
    const taken = await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
    return taken;
  }

  /** Releases a turn. */
  give(): void {
    this.#taken--;
    this.#next();
  }

  #next(): void {
    for (const turn of this.#queue) {
      if (this.#taken >= this.#limit) return;
      this.#queue.delete(turn);
      this.#taken++;
      turn();
    }
  }
}
