// delimited(): messages that end with a delimiter of one or more bytes.
import { FramingError } from "../errors.ts";
import { ChunkDecoder } from "./chunks.ts";
import type { FrameDecoder, FrameEncoder, Framing, FramingLimits } from "./types.ts";

/** Longest delimiter: it bounds the work per byte. */
const MAX_DELIMITER_BYTES = 64;

/**
 * Messages that end with a delimiter, such as lines. The delimiter is not part of the message; a message that
 * holds it is refused on send.
 *
 * @param delimiter string (sent as UTF-8) or bytes, 1 to 64 bytes long
 * @throws {TypeError} when the delimiter is empty or neither string nor bytes
 * @throws {RangeError} when it is longer than 64 bytes
 *
 * @example
 * ```ts
 * import { delimited, FrameDecoderStream } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const lines = ReadableStream.from([new TextEncoder().encode("one\ntwo\n")])
 *   .pipeThrough(new FrameDecoderStream(delimited("\n")))
 *   .pipeThrough(new TextDecoderStream());
 * assertEquals(await Array.fromAsync(lines), ["one", "two"]);
 * ```
 */
export function delimited(delimiter: string | Uint8Array): Framing {
  const bytes = typeof delimiter === "string" ? new TextEncoder().encode(delimiter) : delimiter?.slice?.();
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(
      `Cannot make the framing as "delimiter" must be a string or bytes: got ${typeof delimiter}`,
    );
  }
  if (bytes.length === 0) throw new TypeError(`Cannot make the framing as "delimiter" must not be empty`);
  if (bytes.length > MAX_DELIMITER_BYTES) {
    throw new RangeError(
      `Cannot make the framing as "delimiter" must be 1 to ${MAX_DELIMITER_BYTES} bytes: current length is ${bytes.length}`,
    );
  }
  return {
    name: `delimited(${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")})`,
    encoder: (limits) => new DelimitedEncoder(bytes, limits),
    decoder: (limits) => new DelimitedDecoder(bytes, limits),
  } satisfies Framing;
}

class DelimitedEncoder implements FrameEncoder {
  readonly maxOverhead: number;
  readonly #delimiter: Uint8Array;
  readonly #first: number;
  readonly #limits: FramingLimits;
  /** Lengths of message endings that, with the delimiter behind them, make an earlier delimiter. */
  readonly #borders: number[] = [];

  constructor(delimiter: Uint8Array, limits: FramingLimits) {
    this.maxOverhead = delimiter.length;
    this.#delimiter = delimiter;
    this.#first = delimiter[0]!;
    this.#limits = limits;
    for (let shift = 1; shift < delimiter.length; shift++) {
      if (startsWith(delimiter, delimiter.subarray(shift), 0)) this.#borders.push(shift);
    }
  }

  body(message: Uint8Array): Uint8Array {
    const { maxMessageBytes } = this.#limits;
    if (message.length > maxMessageBytes) {
      throw new FramingError(
        "ERR_FRAME_TOO_LARGE",
        `Cannot send the message as "maxMessageBytes" is ${maxMessageBytes}: it has ${message.length} bytes`,
      );
    }
    const found = this.#delimiter.length === 1
      ? message.indexOf(this.#first)
      : indexOfBytes(message, this.#delimiter, 0);
    if (found !== -1 || (this.#borders.length > 0 && this.#endsInDelimiter(message))) {
      throw new FramingError(
        "ERR_FRAME_MALFORMED",
        `Cannot send the message as it holds its own delimiter${
          found === -1 ? " across its end" : ` at byte ${found}`
        }: ` +
          `encode it first, or use another framing such as lengthPrefixed()`,
      );
    }
    return message;
  }

  writeHead(_body: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }

  writeTail(_body: Uint8Array, into: Uint8Array, offset: number): number {
    if (this.#delimiter.length === 1) into[offset] = this.#first;
    else into.set(this.#delimiter, offset);
    return offset + this.#delimiter.length;
  }

  #endsInDelimiter(message: Uint8Array): boolean {
    return this.#borders.some((length) =>
      message.length >= length &&
      startsWith(message, this.#delimiter.subarray(0, length), message.length - length)
    );
  }
}

class DelimitedDecoder extends ChunkDecoder implements FrameDecoder {
  readonly #delimiter: Uint8Array;
  readonly #first: number;
  readonly #maxMessageBytes: number;

  constructor(delimiter: Uint8Array, limits: FramingLimits) {
    super();
    this.#delimiter = delimiter;
    this.#first = delimiter[0]!;
    this.#maxMessageBytes = limits.maxMessageBytes;
  }

  protected decode(): Uint8Array | undefined {
    if (this.carry.length > 0) return this.#decodeJoined();
    const { chunk, at } = this;
    const found = this.#delimiter.length === 1
      ? chunk.indexOf(this.#first, at)
      : indexOfBytes(chunk, this.#delimiter, at);
    if (found === -1) return this.#keep();
    if (found - at > this.#maxMessageBytes) throw this.#tooLarge();
    this.at = found + this.#delimiter.length;
    return chunk.subarray(at, found);
  }

  /** Goes on with a message that began in an earlier chunk. */
  #decodeJoined(): Uint8Array | undefined {
    const { chunk, at, carry } = this;
    const size = this.#delimiter.length;
    let found = -1;
    if (size > 1) {
      // The delimiter may lie across the two: look for one that begins in the last bytes of the carry.
      const before = carry.tail(size - 1);
      const seam = new Uint8Array(before.length + Math.min(size - 1, chunk.length - at));
      seam.set(before);
      seam.set(chunk.subarray(at, at + seam.length - before.length), before.length);
      const across = indexOfBytes(seam, this.#delimiter, 0);
      if (across !== -1) found = across - before.length;
    }
    if (found === -1) {
      const inChunk = size === 1 ? chunk.indexOf(this.#first, at) : indexOfBytes(chunk, this.#delimiter, at);
      if (inChunk === -1) return this.#keep();
      found = inChunk - at;
    }
    const length = carry.length + found;
    if (length > this.#maxMessageBytes) throw this.#tooLarge();
    if (found > 0) carry.append(chunk.subarray(at, at + found), length);
    this.at = at + found + size;
    return carry.take(length);
  }

  /** No delimiter in this chunk: holds its bytes, unless no message could be that long. */
  #keep(): undefined {
    const bytes = this.chunk.subarray(this.at);
    if (this.carry.length + bytes.length >= this.#maxMessageBytes + this.#delimiter.length) {
      throw this.#tooLarge();
    }
    this.carry.append(bytes, 0);
    this.at = this.chunk.length;
  }

  #tooLarge(): FramingError {
    return this.fail(
      "ERR_FRAME_TOO_LARGE",
      `Cannot read the message as "maxMessageBytes" is ${this.#maxMessageBytes}: no delimiter came within them`,
    );
  }

  protected wanted(): string {
    return `wanted the delimiter, got ${this.heldBytes} bytes without it`;
  }
}

/** Index of `needle` in `bytes` from `from` on, or -1. */
function indexOfBytes(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  const first = needle[0]!;
  const last = bytes.length - needle.length;
  for (let at = bytes.indexOf(first, from); at !== -1 && at <= last; at = bytes.indexOf(first, at + 1)) {
    if (startsWith(bytes, needle, at)) return at;
  }
  return -1;
}

/** Whether `bytes` has `needle` at `at`. */
function startsWith(bytes: Uint8Array, needle: Uint8Array, at: number): boolean {
  if (at + needle.length > bytes.length) return false;
  for (let i = 0; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false;
  return true;
}
