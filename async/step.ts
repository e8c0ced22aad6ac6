// Step: waits for one promise after the other, each ended early by one failure, a signal or a time limit.
import { checkWait, type WaitOptions, watchWait } from "./wait.ts";

/**
 * The waits of a loop over promises of others, such as the chunks of a source. One failure ends the wait
 * that is under way, and all later ones; `Promise.race` with a promise that lives as long as the loop
 * would keep a reaction of each round.
 */
export class Step {
  readonly #options: WaitOptions;
  readonly #late: (timeoutMs: number) => Error;
  #failure: { readonly error: unknown } | undefined;
  #reject: ((error: unknown) => void) | undefined;

  /** `late` makes the error of a step that took longer than `timeoutMs`. */
  constructor(options: WaitOptions, late: (timeoutMs: number) => Error) {
    checkWait("go on with the segment", options);
    this.#options = options;
    this.#late = late;
  }

  /** Waits for `work`, which is left behind when the wait ends before. */
  async wait<T>(work: Promise<T>): Promise<T> {
    // What fails later has no other listener.
    work.catch(() => {});
    this.#options.signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure.error;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#reject = reject;
    const stop = watchWait(this.#options, { cancel: reject, timeout: this.#late });
    work.then(resolve, reject);
    try {
      return await promise;
    } finally {
      this.#reject = undefined;
      stop();
    }
  }

  /** Ends the wait that is under way, and all that come. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reject?.(error);
  }
}

/**
 * Ends the waits of a loop once the stream under it is over. It listens to the stream once, however many segments that
 * carries.
 */
export class EndWatch {
  readonly #closed: () => Promise<Error | undefined>;
  #isWatching = false;
  #end: { readonly error: Error | undefined } | undefined;
  #onEnd: ((error: Error | undefined) => void) | undefined;

  /** `closed` resolves when the stream is over, with what ended it. */
  constructor(closed: () => Promise<Error | undefined>) {
    this.#closed = closed;
  }

  /** Calls `onEnd` when the stream is over, or now; until {@linkcode unwatch}. */
  watch(onEnd: (error: Error | undefined) => void): void {
    if (this.#end !== undefined) return onEnd(this.#end.error);
    this.#onEnd = onEnd;
    if (this.#isWatching) return;
    this.#isWatching = true;
    void this.#closed().then((error) => {
      this.#end = { error };
      this.#onEnd?.(error);
    });
  }

  /** The loop is over. */
  unwatch(): void {
    this.#onEnd = undefined;
  }
}
