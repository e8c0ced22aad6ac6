// lengthPrefixed(): messages that begin with their length in 1, 2, 4 or 8 bytes.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { checkSendable, INCOMPLETE, PrefixedDecoder } from "./prefixed.ts";
import type { FrameEncoder, Framing, FramingLimits } from "./types.ts";

/** Options of {@linkcode lengthPrefixed}. */
export interface LengthPrefixedOptions {
  /** Bytes of the prefix. @default {4} */
  bytes?: 1 | 2 | 4 | 8 | undefined;
  /** Byte order of the prefix. @default {"big"}, network byte order */
  endian?: "big" | "little" | undefined;
}

const NAMES: OptionNames<LengthPrefixedOptions> = {
  bytes: true,
  endian: true,
};

/**
 * Messages that begin with their length as an unsigned integer. The default framing: it carries any
 * bytes, and a message that is too large is refused from its prefix alone.
 *
 * @throws {RangeError} when `bytes` is not 1, 2, 4 or 8, or `endian` neither `"big"` nor `"little"`
 *
 * @example
 * ```ts
 * import { FrameEncoderStream, lengthPrefixed } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from([new Uint8Array([7, 8])])
 *   .pipeThrough(new FrameEncoderStream(lengthPrefixed({ bytes: 2 })));
 * assertEquals(await Array.fromAsync(frames), [new Uint8Array([0, 2, 7, 8])]);
 * ```
 */
export function lengthPrefixed(options: LengthPrefixedOptions = {}): Framing {
  checkOptionNames("Cannot make the framing", options, NAMES);
  const { bytes = 4, endian = "big" } = options;
  if (![1, 2, 4, 8].includes(bytes)) {
    throw new RangeError(
      `Cannot make the framing: "bytes" must be 1, 2, 4 or 8, current value is ${bytes}`,
    );
  }
  if (endian !== "big" && endian !== "little") {
    throw new RangeError(
      `Cannot make the framing: "endian" must be "big" or "little", current value is "${endian}"`,
    );
  }
  return {
    name: `lengthPrefixed(${bytes}, ${endian})`,
    encoder: (limits) => new LengthEncoder(bytes, endian === "little", limits),
    decoder: (limits) => new LengthDecoder(bytes, endian === "little", limits),
  } satisfies Framing;
}

class LengthEncoder implements FrameEncoder {
  readonly maxOverhead: number;
  readonly #little: boolean;
  readonly #maxMessageBytes: number;
  /** The largest length that fits into the prefix. */
  readonly #maxTold: number;

  constructor(bytes: number, little: boolean, limits: FramingLimits) {
    this.maxOverhead = bytes;
    this.#little = little;
    this.#maxMessageBytes = limits.maxMessageBytes;
    this.#maxTold = 2 ** (8 * bytes) - 1;
  }

  body(message: Uint8Array): Uint8Array {
    checkSendable(message, this.#maxMessageBytes, `"maxMessageBytes" is`);
    if (message.length > this.#maxTold) {
      checkSendable(message, this.#maxTold, `a prefix of ${this.maxOverhead} bytes holds at most`);
    }
    return message;
  }

  writeHead(body: Uint8Array, into: Uint8Array, offset: number): number {
    const bytes = this.maxOverhead;
    let rest = body.length;
    if (bytes === 4 && !this.#little) {
      into[offset] = rest >>> 24;
      into[offset + 1] = rest >>> 16;
      into[offset + 2] = rest >>> 8;
      into[offset + 3] = rest;
      return offset + 4;
    }
    // Lengths are below 2^31 (MAX_MESSAGE_BYTES), so the upper half of an 8-byte prefix is always zero.
    const step = this.#little ? 1 : -1;
    let at = this.#little ? offset : offset + bytes - 1;
    for (let i = 0; i < bytes; i++) {
      into[at] = rest;
      rest >>>= 8;
      at += step;
    }
    return offset + bytes;
  }

  writeTail(_body: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }
}

class LengthDecoder extends PrefixedDecoder {
  readonly #little: boolean;
  readonly #bytes: number;

  constructor(bytes: number, little: boolean, limits: FramingLimits) {
    super(bytes, limits.maxMessageBytes);
    this.#bytes = bytes;
    this.#little = little;
    this.prefixLength = bytes;
  }

  protected readPrefix(bytes: Uint8Array, at: number, end: number): number {
    return end - at < this.#bytes ? INCOMPLETE : this.#lengthAt(bytes, at);
  }

  protected override decodeMore(messages: Uint8Array[], most: number): void {
    const { chunk, maxMessageBytes } = this;
    const { buffer, byteOffset } = chunk;
    const size = this.#bytes;
    const last = chunk.length - size;
    let at = this.at;
    for (; most > 0 && at <= last; most--) {
      const length = this.#lengthAt(chunk, at);
      if (length > last - at || length > maxMessageBytes) break;
      messages.push(new Uint8Array(buffer, byteOffset + at + size, length));
      at += size + length;
    }
    this.at = at;
  }

  #lengthAt(bytes: Uint8Array, at: number): number {
    const size = this.#bytes;
    if (size === 4) return this.#little ? u32little(bytes, at) : u32big(bytes, at);
    let length = 0;
    // As a double: exact up to 2^53, and whatever lies above is far over every limit.
    for (let i = 0; i < size; i++) {
      length = length * 256 + bytes[this.#little ? at + size - 1 - i : at + i]!;
    }
    return length;
  }
}

function u32big(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>>
    0;
}

function u32little(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 3]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 1]! << 8) | bytes[at]!) >>>
    0;
}
