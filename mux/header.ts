// The yamux frame: constants, header encoding, and a pushed decoder that checks each header before its body.
import { ProtocolError } from "../errors.ts";

/** Length of a header (yamux spec, "Framing"). */
export const HEADER_BYTES = 12;
/** The only version (spec, "Version Field"). */
export const VERSION = 0;

/** Frame types (spec, "Type Field"). */
export const FrameType = {
  /** Bytes of a stream follow the header. */
  data: 0,
  /** The length field adds to the sender's window. */
  windowUpdate: 1,
  /** The length field is a value to echo; stream 0. */
  ping: 2,
  /** The length field is a {@linkcode GoAwayCode}; stream 0. */
  goAway: 3,
} as const;
/** A frame type. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** Frame flags (spec, "Flag Field"). */
export const Flag = {
  /** A new stream, or a ping's question. */
  syn: 1,
  /** The stream is accepted, or a ping's answer. */
  ack: 2,
  /** No more data from the sender. */
  fin: 4,
  /** The stream is over, now, both ways. */
  rst: 8,
} as const;

/** Why a session ends (spec, "Session termination"). */
export const GoAwayCode = {
  /** In good order. */
  normal: 0,
  /** The receiver of the frame broke the protocol. */
  protocolError: 1,
  /** The sender of the frame failed. */
  internalError: 2,
} as const;
/** A go-away code. */
export type GoAwayCode = typeof GoAwayCode[keyof typeof GoAwayCode];

/** Highest value of the id and length fields. */
export const MAX_U32 = 0xffffffff;

/** One frame header, as it goes over the wire. */
export interface FrameHeader {
  /** What the frame is for. */
  readonly type: FrameType;
  /** Sum of {@linkcode Flag} values. */
  readonly flags: number;
  /** Stream it belongs to, 0 for the session. */
  readonly streamId: number;
  /** Data bytes, window delta, ping value or go-away code, by type. */
  readonly length: number;
}

/** Writes a header into `target` at `offset`, which must have 12 bytes of room. */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  { type, flags, streamId, length }: FrameHeader,
): void {
  target[offset] = VERSION;
  target[offset + 1] = type;
  target[offset + 2] = flags >>> 8;
  target[offset + 3] = flags;
  writeU32(target, offset + 4, streamId);
  writeU32(target, offset + 8, length);
}

/** Makes the 12 bytes of a header. */
export function encodeHeader(header: FrameHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  writeHeader(bytes, 0, header);
  return bytes;
}

/**
 * Reads and checks the header at `offset`.
 *
 * @throws {ProtocolError} `ERR_MUX_VERSION`, `ERR_MUX_TYPE`, `ERR_MUX_FLAGS`, `ERR_MUX_STREAM_ID`
 */
export function decodeHeader(source: Uint8Array, offset = 0): FrameHeader {
  const version = source[offset] ?? 0;
  const type = source[offset + 1] ?? 0;
  const flags = (source[offset + 2] ?? 0) << 8 | (source[offset + 3] ?? 0);
  const streamId = readU32(source, offset + 4);
  const length = readU32(source, offset + 8);
  if (version !== VERSION) {
    throw new ProtocolError(
      "ERR_MUX_VERSION",
      `Cannot read a frame of version ${version}: only 0 is known`,
    );
  }
  if (type > FrameType.goAway) {
    throw new ProtocolError(
      "ERR_MUX_TYPE",
      `Cannot read a frame of type ${type}: only 0 to 3 are known`,
    );
  }
  checkFlags(type, flags);
  const forSession = type >= FrameType.ping;
  if (forSession !== (streamId === 0)) {
    const text = `Cannot read a frame of type ${type} on stream ${streamId}`;
    throw new ProtocolError("ERR_MUX_STREAM_ID", text);
  }
  return { type: type as FrameType, flags, streamId, length };
}

function checkFlags(type: number, flags: number): void {
  if (
    type === FrameType.ping ? flags === Flag.syn || flags === Flag.ack : isStreamFlags(type, flags)
  ) return;
  const text = `Cannot read a frame of type ${type} with flags 0x${flags.toString(16)}`;
  throw new ProtocolError("ERR_MUX_FLAGS", text);
}

function isStreamFlags(type: number, flags: number): boolean {
  if (type === FrameType.goAway) return flags === 0;
  // No side opens and accepts the same stream at once.
  return flags <= 15 && (flags & 3) !== (Flag.syn | Flag.ack);
}

function readU32(source: Uint8Array, offset: number): number {
  return ((source[offset] ?? 0) << 24 | (source[offset + 1] ?? 0) << 16 |
    (source[offset + 2] ?? 0) << 8 |
    (source[offset + 3] ?? 0)) >>> 0;
}

function writeU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

/** What a {@linkcode FrameReader} calls. Whatever a method throws poisons the reader. */
export interface FrameSink {
  /** A header has come and is sound; its body has not been looked at. */
  onHeader(header: FrameHeader): void;
  /** A part of the body of the data frame announced last: a view into the pushed chunk. */
  onBody(bytes: Uint8Array): void;
}

/**
 * Cuts a flow of bytes into frames. Holds at most an incomplete header, whatever a peer announces; bodies are
 * handed on as they come.
 *
 * @example
 * ```ts
 * import { encodeHeader, type FrameHeader, FrameReader, FrameType } from "@parley/parley/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const seen: FrameHeader[] = [];
 * const reader = new FrameReader({ onHeader: (header) => seen.push(header), onBody: () => {} });
 * reader.push(encodeHeader({ type: FrameType.windowUpdate, flags: 1, streamId: 1, length: 0 }));
 * assertEquals(seen, [{ type: 1, flags: 1, streamId: 1, length: 0 }]);
 * ```
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #partial = new Uint8Array(HEADER_BYTES);
  #partialBytes = 0;
  #bodyLeft = 0;
  #poison: unknown;

  /** Makes a reader that calls `sink` from within {@linkcode push}. */
  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True between frames: the flow may end here. */
  get atBoundary(): boolean {
    return this.#partialBytes === 0 && this.#bodyLeft === 0;
  }

  /**
   * Takes the next bytes.
   *
   * @throws {ProtocolError} for a header that is not sound, and again on each later call
   */
  push(chunk: Uint8Array): void {
    if (this.#poison !== undefined) throw this.#poison;
    try {
      this.#push(chunk);
    } catch (error) {
      this.#poison = error;
      throw error;
    }
  }

  #push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#bodyLeft > 0) {
        const end = Math.min(chunk.length, offset + this.#bodyLeft);
        this.#bodyLeft -= end - offset;
        const body = chunk.subarray(offset, end);
        offset = end;
        this.#sink.onBody(body);
        continue;
      }
      offset = this.#takeHeader(chunk, offset);
    }
  }

  #takeHeader(chunk: Uint8Array, offset: number): number {
    let header: FrameHeader;
    if (this.#partialBytes === 0 && chunk.length - offset >= HEADER_BYTES) {
      header = decodeHeader(chunk, offset);
      offset += HEADER_BYTES;
    } else {
      const count = Math.min(HEADER_BYTES - this.#partialBytes, chunk.length - offset);
      this.#partial.set(chunk.subarray(offset, offset + count), this.#partialBytes);
      this.#partialBytes += count;
      offset += count;
      if (this.#partialBytes < HEADER_BYTES) return offset;
      this.#partialBytes = 0;
      header = decodeHeader(this.#partial);
    }
    this.#sink.onHeader(header);
    if (header.type === FrameType.data) this.#bodyLeft = header.length;
    return offset;
  }
}
