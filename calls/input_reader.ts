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

  /** Makes a reader of a stream whose next item is the first input. */
  constructor(stream: CallStream, decode: (bytes: Uint8Array) => unknown) {
    this.#stream = stream;
    this.#decode = decode;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    const item = await this.#stream.readItem();
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

  /** No more is read. */
  end(): void {
    this.#isOver = true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
