// FramedStream: whole messages over the bytes of a stream, each behind its length.
import type { ReceiveOptions } from "../connection/waiter.ts";
import { FramingError } from "../errors.ts";
import { type FrameDecoder, type FrameEncoder, varintPrefixed } from "../framing.ts";
import type { WireStream } from "../wire/session/stream.ts";
import type { MessageCarrier } from "./typed_link.ts";

/**
 * Carries messages over a stream, each behind its length as a varint. A peer that sends what is no
 * message, or too long a one, ends the stream and nothing else. One reader at a time; `send` may be
 * called concurrently.
 */
export class FramedStream implements MessageCarrier {
  readonly #stream: WireStream;
  readonly #encoder: FrameEncoder;
  readonly #decoder: FrameDecoder;
  #hasEnded = false;

  /** Frames a stream whose bytes nothing else reads or writes. */
  constructor(stream: WireStream, maxMessageBytes: number) {
    this.#stream = stream;
    const framing = varintPrefixed();
    this.#encoder = framing.encoder({ maxMessageBytes });
    this.#decoder = framing.decoder({ maxMessageBytes });
  }

  /**
   * Sends a message.
   *
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE`; nothing was sent, and the stream goes on
   * @throws {ClosedError} as the stream does
   */
  async send(message: Uint8Array): Promise<void> {
    const encoder = this.#encoder;
    const body = encoder.body(message);
    const frame = new Uint8Array(encoder.maxOverhead + body.length);
    const start = encoder.writeHead(body, frame, 0);
    frame.set(body, start);
    await this.#stream.write(frame.subarray(0, start + body.length));
  }

  /**
   * Waits for the next message; `null` once the peer has ended its direction behind a whole one.
   *
   * @throws {FramingError} `ERR_FRAME_TRUNCATED` when it ended inside a message, `ERR_FRAME_TOO_LARGE`
   * and `ERR_FRAME_MALFORMED`; the stream is reset then
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when nothing came within `timeoutMs`
   */
  async receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    try {
      for (;;) {
        const message = this.#decoder.next();
        if (message !== undefined) return message;
        if (this.#hasEnded) return null;
        const chunk = await this.#stream.read(options);
        if (chunk !== null) this.#decoder.push(chunk);
        else this.#end();
      }
    } catch (error) {
      if (error instanceof FramingError) this.#stream.abort(error);
      throw error;
    }
  }

  #end(): void {
    this.#decoder.end();
    this.#hasEnded = true;
  }
}
