// fixedLength() and raw(): framings that add no bytes.
import { FramingError } from "../errors.ts";
import { ChunkDecoder, view } from "./chunks.ts";
import { type FrameEncoder, type Framing, type FramingLimits, MAX_MESSAGE_BYTES } from "./types.ts";

/**
 * Messages that are all of one size, with nothing between them.
 *
 * @param messageBytes size of every message, 1 to 1073741824 bytes
 * @throws {RangeError} when the size is out of range, or over the limits of the connection it is used on
 *
 * @example
 * ```ts
 * import { fixedLength, FrameDecoderStream } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const records = ReadableStream.from([new Uint8Array([1, 2, 3]), new Uint8Array([4])])
 *   .pipeThrough(new FrameDecoderStream(fixedLength(2)));
 * assertEquals(await Array.fromAsync(records), [new Uint8Array([1, 2]), new Uint8Array([3, 4])]);
 * ```
 */
export function fixedLength(messageBytes: number): Framing {
  if (!Number.isInteger(messageBytes) || messageBytes < 1 || messageBytes > MAX_MESSAGE_BYTES) {
    throw new RangeError(
      `Cannot make the framing: "messageBytes" must be 1 to ${MAX_MESSAGE_BYTES}, current value is ${messageBytes}`,
    );
  }
  const check = (limits: FramingLimits) => {
    if (messageBytes <= limits.maxMessageBytes) return;
    throw new RangeError(
      `Cannot use fixedLength(${messageBytes}): "maxMessageBytes" is ${limits.maxMessageBytes}: raise the limit`,
    );
  };
  return {
    name: `fixedLength(${messageBytes})`,
    encoder(limits) {
      check(limits);
      return new FixedEncoder(messageBytes);
    },
    decoder(limits) {
      check(limits);
      return new FixedDecoder(messageBytes);
    },
  } satisfies Framing;
}

/**
 * No framing: sends bytes unchanged, and delivers received chunks as they come. For a protocol
 * of your own, or for the bytes of a file after a message that announced it.
 *
 * @example
 * ```ts
 * import { FrameDecoderStream, raw } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const chunks = ReadableStream.from([new Uint8Array([1, 2])]).pipeThrough(new FrameDecoderStream(raw()));
 * assertEquals(await Array.fromAsync(chunks), [new Uint8Array([1, 2])]);
 * ```
 */
export function raw(): Framing {
  return {
    name: "raw",
    encoder: () => new PlainEncoder(),
    decoder: () => new RawDecoder(),
  } satisfies Framing;
}

class PlainEncoder implements FrameEncoder {
  readonly maxOverhead = 0;

  body(message: Uint8Array): Uint8Array {
    return message;
  }

  writeHead(_body: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }

  writeTail(_body: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }
}

class FixedEncoder extends PlainEncoder {
  readonly #messageBytes: number;

  constructor(messageBytes: number) {
    super();
    this.#messageBytes = messageBytes;
  }

  override body(message: Uint8Array): Uint8Array {
    if (message.length === this.#messageBytes) return message;
    throw new FramingError(
      "ERR_FRAME_MALFORMED",
      `Cannot send the message: it must be of ${this.#messageBytes} bytes, it has ${message.length}`,
    );
  }
}

class FixedDecoder extends ChunkDecoder {
  readonly #messageBytes: number;

  constructor(messageBytes: number) {
    super();
    this.#messageBytes = messageBytes;
  }

  protected decode(): Uint8Array | undefined {
    const { chunk, at, carry } = this;
    const missing = this.#messageBytes - carry.length;
    if (chunk.length - at < missing) {
      carry.append(chunk.subarray(at), this.#messageBytes);
      this.at = chunk.length;
      return undefined;
    }
    this.at = at + missing;
    const part = chunk.subarray(at, this.at);
    if (carry.length === 0) return part;
    carry.append(part, this.#messageBytes);
    return carry.take(this.#messageBytes);
  }

  protected override decodeMore(messages: Uint8Array[], most: number): void {
    const { chunk } = this;
    const size = this.#messageBytes;
    let { at } = this;
    for (; most > 0 && at + size <= chunk.length; most--) {
      messages.push(view(chunk, at, size));
      at += size;
    }
    this.at = at;
  }

  protected wanted(): string {
    return `wanted ${this.#messageBytes} bytes, got ${this.heldBytes}`;
  }
}

class RawDecoder extends ChunkDecoder {
  protected decode(): Uint8Array {
    const { chunk, at } = this;
    this.at = chunk.length;
    return at === 0 ? chunk : chunk.subarray(at);
  }

  protected wanted(): string {
    return `${this.heldBytes} bytes were not taken`;
  }
}
