// TypedStream: a wire stream whose messages are values.
import { MAX_MESSAGE_BYTES } from "../framing.ts";
import { checkInteger } from "../options/check.ts";
import type { WireStream } from "../wire/session/stream.ts";
import type { Codec } from "./codec.ts";
import { FramedStream } from "./framed_stream.ts";
import { TypedLink, type TypedOptions } from "./typed_link.ts";

/** Options of `typed` for a stream. */
export interface TypedStreamOptions extends TypedOptions {
  /**
   * Most bytes in one message, either way, 1 to 1073741824. The stream is reset when the peer sends more.
   *
   * @default {1048576} the same as for connections
   */
  maxMessageBytes?: number | undefined;
}

/**
 * A `WireStream` whose messages are values; `typed` makes it, on both sides. Each message goes behind its
 * length as a varint. A peer that ends its direction inside a message, or sends a longer one than
 * `maxMessageBytes`, ends the stream: `receive` rejects with a `FramingError`.
 *
 * @template T what is received
 * @template In what is sent
 */
export class TypedStream<T, In = T> extends TypedLink<T, In, WireStream> {
  /** @ignore use `typed` */
  constructor(link: WireStream, codec: Codec<T, In>, options: TypedStreamOptions) {
    const { maxMessageBytes = 2 ** 20 } = options;
    const action = "Cannot make the stream typed";
    checkInteger(action, "maxMessageBytes", maxMessageBytes, 1, MAX_MESSAGE_BYTES);
    super(link, codec, new FramedStream(link, maxMessageBytes), options);
  }

  /** Ends our direction behind the last value; the peer reads to its end, and we go on reading. */
  closeWrite(): Promise<void> {
    return this.link.closeWrite();
  }

  /** @ignore */
  protected override endWrite(): Promise<void> {
    return this.link.closeWrite();
  }

  /** @ignore stops reading, as the stream's own `readable` does */
  protected override cancelRead(reason: unknown): Promise<void> {
    return this.link.readable.cancel(reason);
  }
}
