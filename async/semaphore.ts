// Semaphore: a limit of how much goes on at a time; others wait in the order in which they came.
import { type WaitOptions, watchWait } from "./wait.ts";

/** A number of places with a queue before them. Any number of callers may wait at a time. */
export class Semaphore {
  #limit: number;
  #acquired = 0;
  readonly #queue = new Set<() => void>();

  /** Makes a semaphore of `limit` places, all of them free. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether no place is acquired, and none is waited for. */
  get isIdle(): boolean {
    return this.#acquired === 0 && this.#queue.size === 0;
  }

  /** Places that may be acquired at a time. */
  get limit(): number {
    return this.#limit;
  }

  /** Changes the number of places. Those that were acquired beyond a smaller one stay. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Acquires a place if one is free and no other caller waits for it; {@linkcode release} frees it. */
  tryAcquire(): boolean {
    if (this.#acquired >= this.#limit || this.#queue.size > 0) return false;
    this.#acquired++;
    return true;
  }

  /** Waits for a place; `false` when `timeoutMs` have passed or `signal` has aborted before. */
  acquire(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return this.#acquire({ signal, timeoutMs });
  }

  /**
   * Waits for a place until `signal` aborts, and returns what frees it when it is disposed of. @throws
   * the reason of `signal`
   */
  async hold(signal: AbortSignal): Promise<Disposable> {
    if (!await this.#acquire({ signal })) throw signal.reason;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.release();
        isHeld = false;
      },
    };
  }

  /** Frees a place. */
  release(): void {
    this.#acquired--;
    this.#admit();
  }

  async #acquire(options: WaitOptions): Promise<boolean> {
    if (options.signal?.aborted) return false;
    if (this.tryAcquire()) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const stop = watchWait(options, {
      cancel: () => {
        // At once: a place that goes to a caller that has left would be lost.
        this.#queue.delete(enter);
        resolve(false);
      },
    });
    const enter = () => {
      stop();
      resolve(true);
    };
    this.#queue.add(enter);
    return await promise;
  }

  #admit(): void {
    for (const enter of this.#queue) {
      if (this.#acquired >= this.#limit) return;
      this.#queue.delete(enter);
      this.#acquired++;
      enter();
    }
  }
}
