// InputReader: the inputs of a call with many, as its handler iterates over them.
import type { HandlerContext } from "./context.ts";
import type { CallStream } from "./ports/port.ts";
import { readReply } from "./protocol/reply.ts";
import { ProtocolError } from "../errors.ts";

/**
 * Inputs, each read when the handler asks for it. A handler that leaves its loop reads no more; the
 * call goes on.
 */
export class InputReader implements AsyncIterableIterator<unknown, undefined> {
  readonly #stream: CallStream;
  readonly #context: HandlerContext;
  readonly #decode: (bytes: Uint8Array) => unknown;
  #isOver = false;

  /** Makes a reader of a stream whose next item is the first input. */
  constructor(
    stream: CallStream,
    context: HandlerContext,
    decode: (bytes: Uint8Array) => unknown,
  ) {
    this.#stream = stream;
    this.#context = context;
    this.#decode = decode;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    const payload = await this.#read();
    if (payload === null || this.#isOver) {
      this.#isOver = true;
      return { done: true, value: undefined };
    }
    return { done: false, value: await this.#decode(payload) };
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** No more is read. */
  end(): void {
    this.#isOver = true;
  }

  /**
   * Waits for the next input until the caller's time is over. A caller that is gone, or sends what
   * is no input, is no fault of the handler.
   */
  async #read(): Promise<Uint8Array | null> {
    const { deadlineMs } = this.#context;
    const wait = deadlineMs === Infinity ? undefined : { signal: this.#context.signal };
    try {
      const item = await this.#stream.readItem(wait);
      if (item === null) return null;
      const reply = readReply(item);
      if (reply.kind === "value") return reply.payload;
      throw new ProtocolError("ERR_CALL_FRAME", "Cannot read an input: it is a failure");
    } catch (error) {
      throw this.#context.blame(error);
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
