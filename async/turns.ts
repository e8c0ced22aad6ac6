// Turns: a limit of how many go on at a time; others wait in the order in which they came, for as long as they want to.
import { type WaitOptions, watchWait } from "./wait.ts";

/** A limit with a queue. Any number of callers may wait at a time. */
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

  /** Most turns that may be taken at a time. */
  get limit(): number {
    return this.#limit;
  }

  /** Changes the limit. Turns above a lower limit stay taken until they are returned. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#next();
  }

  /** Takes a turn if one is free and no caller waits for it; {@linkcode give} returns it. */
  tryTake(): boolean {
    if (this.#taken >= this.#limit || this.#queue.size > 0) return false;
    this.#taken++;
    return true;
  }

  /** Waits for a turn; `false` when `timeoutMs` have passed or `signal` has aborted before. */
  take(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return this.#take({ signal, timeoutMs });
  }

  /** Waits for a turn until `signal` aborts. Disposing the result returns the turn. @throws the reason of `signal` */
  async hold(signal: AbortSignal): Promise<Disposable> {
    if (!await this.#take({ signal })) throw signal.reason;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.give();
        isHeld = false;
      },
    };
  }

  async #take(options: WaitOptions): Promise<boolean> {
    if (options.signal?.aborted) return false;
    if (this.tryTake()) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const stop = watchWait(options, {
      cancel: () => {
        // At once: a turn that goes to a caller that has left would be lost.
        this.#queue.delete(turn);
        resolve(false);
      },
    });
    const turn = () => {
      stop();
      resolve(true);
    };
    this.#queue.add(turn);
    return await promise;
  }

  /** Returns a turn. */
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
