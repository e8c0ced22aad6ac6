// Slots: how many things may go on at a time; the rest waits, first come first served.

/** A fixed number of places. */
export class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  /** Makes `count` places, all free. */
  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Waits for a place and takes it; rejects with the reason of `signal` when that aborts. Disposing the place
   * frees it.
   */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#waiting.delete(resolve);
      reject(signal.reason);
    };
    this.#waiting.add(resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** The place goes to the message that has waited longest. */
  #release(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#free++;
    } else {
      this.#waiting.delete(first);
      first();
    }
  }
}
