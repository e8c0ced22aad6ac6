// InputReader: the inputs of a call with many, as its handler iterates over them.
import type { CallStream } from "./ports/port.ts";
import { readReply } from "./protocol/reply.ts";
import { ProtocolError } from "../errors.ts";

/**
 * Inputs, each read when the handler asks for it. A handler that leaves its loop reads no more; the
 * call goes on.
 */
export class InputReader implements AsyncIterableIterator<unknown, undefined> {
  readonly #stream: CallStream;
  readonly #decode: (bytes: Uint8Array) => unknown;
  #isOver = false;
  /** Why the inputs broke off. */
  #loss: unknown;

  /** Makes a reader of a stream whose next item is the first input. */
  constructor(stream: CallStream, decode: (bytes: Uint8Array) => unknown) {
    this.#stream = stream;
    this.#decode = decode;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    const item = await this.#read();
    if (item === null || this.#isOver) {
      this.#isOver = true;
      return { done: true, value: undefined };
    }
    const reply = readReply(item);
    if (reply.kind !== "value") {
      throw new ProtocolError("ERR_CALL_FRAME", "Cannot read an input: it is a failure");
    }
    return { done: false, value: await this.#decode(reply.payload) };
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Whether an error says only that the caller has left in the middle of its inputs. */
  isLoss(error: unknown): boolean {
    return error !== undefined && error === this.#loss;
  }

  /** No more is read. */
  end(): void {
    this.#isOver = true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #read(): Promise<Uint8Array | null> {
    try {
      return await this.#stream.readItem();
    } catch (error) {
      if (this.#stream.signal.aborted) this.#loss = error;
      throw error;
    }
  }
}
