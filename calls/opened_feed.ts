// OpenedFeed: a feed that middleware stands before, and which is had with its first `next`.
import { iteratorOf } from "./outputs.ts";
import type { Feed } from "./types.ts";

/** The answers of a call whose iterable must be waited for. */
export class OpenedFeed implements Feed<unknown> {
  readonly #open: () => Promise<unknown>;
  readonly #onOver: (error?: unknown) => void;
  #iterator: Promise<AsyncIterator<unknown> | Iterator<unknown>> | undefined;
  #isLeft = false;

  /** `open` is called once, with the first `next`; `onOver` at each end, with its error. */
  constructor(open: () => Promise<unknown>, onOver: (error?: unknown) => void) {
    this.#open = open;
    this.#onOver = onOver;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isLeft) return { done: true, value: undefined };
    try {
      this.#iterator ??= this.#open().then(iteratorOf);
      const { done, value } = await (await this.#iterator).next();
      if (!done) return { done: false, value };
      this.#onOver();
      return { done: true, value: undefined };
    } catch (error) {
      this.#onOver(error ?? new Error("undefined was thrown"));
      throw error;
    }
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#isLeft = true;
    this.#onOver();
    void this.#leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #leave(): Promise<void> {
    try {
      await (await this.#iterator)?.return?.();
    } catch {
      // A caller that waited for a value has learned of it.
    }
  }
}
