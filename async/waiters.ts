// Waiters: many waits for one thing that may come late, or never. A wait that ends early leaves nothing.
import { type WaitOptions, watchWait } from "./wait.ts";

/**
 * Waits for a value. A promise would keep a reaction of each wait until it settles, so that a
 * client that asks every second while its server is away for a day would keep all of them. Any
 * number of waits at a time.
 */
export class Waiters<T> {
  /** Made when one waits. */
  #waiting: Set<PromiseWithResolvers<T>> | null = null;

  /** Number of current waits. */
  get size(): number {
    return this.#waiting?.size ?? 0;
  }

  /**
   * Waits for the next {@linkcode resolve} or {@linkcode reject}.
   *
   * @throws what `late` makes after `timeoutMs`, the reason of the signal, or the error of {@linkcode reject}
   */
  async wait(options: WaitOptions, late: (timeoutMs: number) => Error): Promise<T> {
    options.signal?.throwIfAborted();
    const waiter = Promise.withResolvers<T>();
    const waiting = this.#waiting ??= new Set();
    waiting.add(waiter);
    const stop = watchWait(options, { cancel: waiter.reject, timeout: late });
    try {
      return await waiter.promise;
    } finally {
      stop();
      waiting.delete(waiter);
    }
  }

  /** Ends all current waits with a value. */
  resolve(value: T): void {
    for (const waiter of this.#waiting ?? []) waiter.resolve(value);
    this.#waiting = null;
  }

  /** Ends all current waits with an error. */
  reject(error: unknown): void {
    for (const waiter of this.#waiting ?? []) waiter.reject(error);
    this.#waiting = null;
  }
}
