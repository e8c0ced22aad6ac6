// varintPrefixed(): messages that begin with their length as unsigned LEB128, as protobuf's
// delimited messages.
import { view } from "./chunks.ts";
import { checkSendable, INCOMPLETE, PrefixedDecoder } from "./prefixed.ts";
import type { FrameEncoder, Framing, FramingLimits } from "./types.ts";
import { MAX_VARINT_BYTES, writeVarint } from "./varint.ts";

/**
 * Messages that begin with their length as an unsigned LEB128 varint: the delimited messages of
 * protobuf. Only the shortest form of a length is taken, so that each message has one encoding.
 *
 * @example
 * ```ts
 * import { FrameEncoderStream, varintPrefixed } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from([new Uint8Array(300)]).pipeThrough(new FrameEncoderStream(varintPrefixed()));
 * const [frame] = await Array.fromAsync(frames);
 * assertEquals(frame!.subarray(0, 2), new Uint8Array([0xac, 0x02]));
 * ```
 */
export function varintPrefixed(): Framing {
  return {
    name: "varintPrefixed",
    encoder: (limits) => new VarintEncoder(limits),
    decoder: (limits) => new VarintDecoder(limits),
  } satisfies Framing;
}

class VarintEncoder implements FrameEncoder {
  readonly maxOverhead = MAX_VARINT_BYTES;
  readonly #limits: FramingLimits;

  constructor(limits: FramingLimits) {
    this.#limits = limits;
  }

  body(message: Uint8Array): Uint8Array {
    checkSendable(message, this.#limits.maxMessageBytes, `"maxMessageBytes" is`);
    return message;
  }

  writeHead(body: Uint8Array, into: Uint8Array, offset: number): number {
    return writeVarint(body.length, into, offset);
  }

  writeTail(_body: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }
}

class VarintDecoder extends PrefixedDecoder {
  constructor(limits: FramingLimits) {
    super(MAX_VARINT_BYTES, limits.maxMessageBytes);
  }

  protected readPrefix(bytes: Uint8Array, at: number, end: number): number {
    let length = 0;
    let scale = 1;
    const last = Math.min(end - at, MAX_VARINT_BYTES);
    for (let i = 0; i < last; i++) {
      const byte = bytes[at + i]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw this.#malformed("its length is not in the shortest form");
        this.prefixLength = i + 1;
        return length;
      }
      scale *= 128;
    }
    if (last === MAX_VARINT_BYTES) {
      throw this.#malformed(`its length takes more than ${MAX_VARINT_BYTES} bytes`);
    }
    return INCOMPLETE;
  }

  protected override decodeMore(messages: Uint8Array[], most: number): void {
    const { chunk, maxMessageBytes } = this;
    let at = this.at;
    for (; most > 0 && at + 1 < chunk.length; most--) {
      let length = chunk[at]!;
      let start = at + 1;
      if (length >= 0x80) {
        const high = chunk[start++]!;
        // Two bytes reach 16 KiB; what is longer, or malformed, is rare enough.
        if (high >= 0x80 || high === 0) break;
        length += (high - 1) * 128;
      }
      if (length > chunk.length - start || length > maxMessageBytes) break;
      at = start + length;
      messages.push(view(chunk, start, length));
    }
    this.at = at;
  }

  #malformed(why: string): Error {
    return this.fail("ERR_FRAME_MALFORMED", `Cannot read the message: ${why}`);
  }
}
