// AttemptQueue: callers that wait for their turn to try something, in the order in which they came.
import type { Clock } from "./clock.ts";
import { type WaitOptions, watchWait } from "./wait.ts";

/** One wait in an {@linkcode AttemptQueue}. */
export interface Attempt<T> {
  /** Where the time comes from. */
  readonly clock: Clock;
  /** Tries; returns `undefined` when the wait must go on. What it throws ends the wait. */
  readonly attempt: () => T | undefined;
  /** Makes the error of a wait that took too long. */
  readonly timeout: (timeoutMs: number) => Error;
}

/** Callers that wait until their attempt succeeds. Any number may wait at a time. */
export class AttemptQueue {
  #waiting: (() => void)[] = [];

  /** Whether no caller waits. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Waits at the end of the queue until the attempt returns something or throws. */
  wait<T>(options: WaitOptions, { clock, attempt, timeout }: Attempt<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const tryNow = () => {
      try {
        const result = attempt();
        if (result === undefined) return void this.#waiting.push(tryNow);
        stop();
        resolve(result);
      } catch (error) {
        stop();
        reject(error);
      }
    };
    const stop = watchWait(options, {
      clock,
      cancel: (error) => {
        const index = this.#waiting.indexOf(tryNow);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(error);
      },
      timeout,
    });
    this.#waiting.push(tryNow);
    return promise;
  }

  /** Lets the first caller try. */
  wakeFirst(): void {
    this.#waiting.shift()?.();
  }

  /** Lets the callers try in their order, until one must go on waiting. */
  wakeAll(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting.splice(0);
    for (let index = 0; index < waiting.length; index++) {
      waiting[index]?.();
      if (this.#waiting.length === 0) continue;
      this.#waiting.push(...waiting.slice(index + 1));
      return;
    }
  }
}
