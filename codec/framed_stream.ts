// FramedStream: whole messages over the bytes of a stream, each behind its length.
import type { ReceiveBatchOptions, ReceiveOptions } from "../connection/waiter.ts";
import { FramingError } from "../errors.ts";
import { type FrameDecoder, type FrameEncoder, varintPrefixed } from "../framing.ts";
import type { WireStream } from "../wire/session/stream.ts";
import type { MessageCarrier } from "./typed_link.ts";

/** Most messages in a batch: a stream is read in turns anyway. */
const MAX_BATCH_MESSAGES = 256;

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
  send(message: Uint8Array): Promise<void> {
    return this.sendBatch([message]);
  }

  /**
   * Sends messages in one write.
   *
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE` for one of them; nothing was sent, and the stream goes on
   * @throws {ClosedError} as the stream does
   */
  async sendBatch(messages: readonly Uint8Array[]): Promise<void> {
    const encoder = this.#encoder;
    let size = 0;
    for (const message of messages) size += encoder.body(message).length + encoder.maxOverhead;
    const frames = new Uint8Array(size);
    let end = 0;
    for (const message of messages) {
      const start = encoder.writeHead(message, frames, end);
      frames.set(message, start);
      end = start + message.length;
    }
    if (end > 0) await this.#stream.write(frames.subarray(0, end));
  }

  /**
   * Waits for the next message; `null` once the peer has ended its direction behind a whole one.
   *
   * @throws {FramingError} `ERR_FRAME_TRUNCATED` when it ended inside a message, `ERR_FRAME_TOO_LARGE`
   * and `ERR_FRAME_MALFORMED`; the stream is reset then
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when nothing came within `timeoutMs`
   */
  async receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    const batch = await this.receiveBatch({ ...options, maxMessages: 1 });
    return batch === null ? null : batch[0]!;
  }

  /** Waits for all messages that are here, at least one; else what {@linkcode receive} does. */
  async receiveBatch(
    { maxMessages = MAX_BATCH_MESSAGES, ...options }: ReceiveBatchOptions = {},
  ): Promise<Uint8Array[] | null> {
    const batch: Uint8Array[] = [];
    try {
      for (;;) {
        this.#decoder.nextInto!(batch, Math.min(maxMessages, MAX_BATCH_MESSAGES));
        if (batch.length > 0) return batch;
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
