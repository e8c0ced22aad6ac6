// delimited(): messages that end with a delimiter of one or more bytes.
import { FramingError } from "../errors.ts";
import { ChunkDecoder, view } from "./chunks.ts";
import type { FrameDecoder, FrameEncoder, Framing, FramingLimits } from "./types.ts";

/** Longest delimiter: it bounds the work per byte. */
const MAX_DELIMITER_BYTES = 64;

/** Bytes looked at one by one behind the false beginning of a delimiter. */
const SCANNED_BYTES = 16;

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
  if (typeof delimiter !== "string" && !(delimiter instanceof Uint8Array)) {
    throw new TypeError(
      `Cannot make the framing: "delimiter" must be a string or bytes, got ${typeof delimiter}`,
    );
  }
  const bytes = typeof delimiter === "string"
    ? new TextEncoder().encode(delimiter)
    : new Uint8Array(delimiter);
  if (bytes.length === 0) {
    throw new TypeError(`Cannot make the framing: "delimiter" must not be empty`);
  }
  if (bytes.length > MAX_DELIMITER_BYTES) {
    throw new RangeError(
      `Cannot make the framing: "delimiter" must be 1 to ${MAX_DELIMITER_BYTES} bytes, current length is ${bytes.length}`,
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
        `Cannot send the message: "maxMessageBytes" is ${maxMessageBytes}, it has ${message.length} bytes`,
      );
    }
    const found = this.#delimiter.length === 1
      ? message.indexOf(this.#first)
      : indexOfBytes(message, this.#delimiter, 0);
    if (found !== -1 || (this.#borders.length > 0 && this.#endsInDelimiter(message))) {
      throw new FramingError(
        "ERR_FRAME_MALFORMED",
        `Cannot send the message: it holds its own delimiter${
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
    const found = this.#findFrom(at);
    if (found === -1) return this.#keep();
    if (found - at > this.#maxMessageBytes) throw this.#tooLarge();
    this.at = found + this.#delimiter.length;
    return view(chunk, at, found - at);
  }

  protected override decodeMore(messages: Uint8Array[], most: number): void {
    const { chunk } = this;
    const size = this.#delimiter.length;
    let { at } = this;
    for (; most > 0 && at < chunk.length; most--) {
      const found = this.#findFrom(at);
      if (found === -1 || found - at > this.#maxMessageBytes) break;
      messages.push(view(chunk, at, found - at));
      at = found + size;
    }
    this.at = at;
  }

  /** Goes on with a message that began in an earlier chunk. */
  #decodeJoined(): Uint8Array | undefined {
    const { chunk, at, carry } = this;
    let length = this.#lengthAcross();
    if (length === -1) {
      const found = this.#findFrom(at);
      if (found === -1) return this.#keep();
      length = carry.length + found - at;
    }
    if (length > this.#maxMessageBytes) throw this.#tooLarge();
    // Negative when the delimiter begins in the carry.
    const missing = length - carry.length;
    if (missing > 0) carry.append(chunk.subarray(at, at + missing), length);
    this.at = at + missing + this.#delimiter.length;
    return carry.take(length);
  }

  /** Length of the message whose delimiter begins in the carry and ends in the chunk, or -1. */
  #lengthAcross(): number {
    const { chunk, at, carry } = this;
    const most = this.#delimiter.length - 1;
    if (most === 0) return -1;
    const before = carry.tail(most);
    const after = chunk.subarray(at, at + most);
    const seam = new Uint8Array(before.length + after.length);
    seam.set(before);
    seam.set(after, before.length);
    const found = indexOfBytes(seam, this.#delimiter, 0);
    return found === -1 ? -1 : carry.length - before.length + found;
  }

  #findFrom(at: number): number {
    return this.#delimiter.length === 1
      ? this.chunk.indexOf(this.#first, at)
      : indexOfBytes(this.chunk, this.#delimiter, at);
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
      `Cannot read the message: "maxMessageBytes" is ${this.#maxMessageBytes}: no delimiter came within them`,
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
  let at = bytes.indexOf(first, from);
  while (at !== -1 && at <= last) {
    if (startsWith(bytes, needle, at)) return at;
    // A peer may send nothing but beginnings: look at a few bytes here before another call of the slow kind.
    const stop = Math.min(++at + SCANNED_BYTES, last);
    while (at < stop && bytes[at] !== first) at++;
    if (bytes[at] !== first) at = bytes.indexOf(first, at);
  }
  return -1;
}

/** Whether `bytes` has `needle` at `at`, where there is room for it. */
function startsWith(bytes: Uint8Array, needle: Uint8Array, at: number): boolean {
  for (let i = 0; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false;
  return true;
}
