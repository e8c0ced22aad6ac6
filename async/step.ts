// Step: waits for one promise after another, each ended early by one failure, a signal or a time limit.
import { checkWait, type WaitOptions, watchWait } from "./wait.ts";

/**
 * The waits of a loop over promises that other code makes, such as the chunks of a source. One
 * failure ends the current wait and all later ones. `Promise.race` with a promise that lives as
 * long as the loop would keep a reaction of each round. One wait at a time.
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

  /**
   * Waits for `work`. When the wait ends early, what becomes of `work` is ignored. @throws what
   * ended the wait
   */
  async wait<T>(work: Promise<T>): Promise<T> {
    // A later failure has no other handler.
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

  /** Ends the current wait and all later ones with `error`. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reject?.(error);
  }
}

/**
 * Reports to a loop that the stream under it is over. It listens to the stream once, however many
 * segments the stream carries.
 */
export class EndWatch {
  readonly #closed: () => Promise<Error | undefined>;
  #isWatching = false;
  #end: { readonly error: Error | undefined } | undefined;
  #onEnd: ((error: Error | undefined) => void) | undefined;

  /** `closed` resolves when the stream is over, with the error that ended it. */
  constructor(closed: () => Promise<Error | undefined>) {
    this.#closed = closed;
  }

  /** Calls `onEnd` when the stream is over, at once if it is. {@linkcode unwatch} ends the watch. */
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

  /** Ends the watch, because the loop is over. */
  unwatch(): void {
    this.#onEnd = undefined;
  }
}
