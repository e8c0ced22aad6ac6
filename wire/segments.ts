// Segments: several sources one after the other on one stream, each with an end of its own.
import { ProtocolError } from "../errors.ts";
import type { WaitOptions } from "../mux/wait.ts";

/** What a segment can be made from: a file's `readable`, a response's `body`, an array of chunks. */
export type SegmentSource =
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>;

/** Where a segment can go: a file's `writable`, or a function that takes chunks. */
export type SegmentSink = WritableStream<Uint8Array> | ((chunk: Uint8Array) => Promise<void> | void);

/** Longest chunk that is sent: one length for so many bytes. */
const MAX_CHUNK_BYTES = 64 * 1024;

/** Longest length, in bytes of LEB128: 5 carry 32 bits. */
const MAX_VARINT_BYTES = 5;

/** Length 0: the segment is over. */
const END = new Uint8Array([0]);

/** Encodes a length as unsigned LEB128, in its shortest form. */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value;; rest = Math.floor(rest / 128)) {
    if (rest < 128) return new Uint8Array([...bytes, rest]);
    bytes.push(rest % 128 | 128);
  }
}

/** Sends segments. */
export class SegmentWriter {
  readonly #write: (bytes: Uint8Array, options?: WaitOptions) => Promise<void>;
  #busy = false;

  constructor(write: (bytes: Uint8Array, options?: WaitOptions) => Promise<void>) {
    this.#write = write;
  }

  /** Sends one segment; gives the bytes of the source. */
  async send(source: SegmentSource, options?: WaitOptions): Promise<number> {
    if (this.#busy) throw new TypeError("Cannot send a segment as another one is under way");
    this.#busy = true;
    let total = 0;
    try {
      for await (const chunk of source) {
        for (let offset = 0; offset < chunk.length; offset += MAX_CHUNK_BYTES) {
          const part = chunk.subarray(offset, offset + MAX_CHUNK_BYTES);
          await this.#write(joined(encodeVarint(part.length), part), options);
        }
        total += chunk.length;
      }
      await this.#write(END, options);
    } finally {
      this.#busy = false;
    }
    return total;
  }
}

/** Reads segments off a flow of bytes. Holds no more than the chunk that came last. */
export class SegmentReader {
  readonly #pull: (options?: WaitOptions) => Promise<Uint8Array | null>;
  #held: Uint8Array = new Uint8Array(0);
  /** Bytes left of the chunk under way. */
  #left = 0;
  #inside = false;

  constructor(pull: (options?: WaitOptions) => Promise<Uint8Array | null>) {
    this.#pull = pull;
  }

  /** Begins the next segment; `false` when there is none. */
  async begin(options?: WaitOptions): Promise<boolean> {
    if (this.#inside) throw new TypeError("Cannot read a segment as another one is under way");
    this.#inside = await this.#fill(options);
    return this.#inside;
  }

  /** The next bytes of the segment, `null` at its end. */
  async next(options?: WaitOptions): Promise<Uint8Array | null> {
    if (this.#left === 0) this.#left = await this.#length(options);
    if (this.#left === 0) {
      this.#inside = false;
      return null;
    }
    if (!await this.#fill(options)) throw cut();
    const part = this.#held.subarray(0, this.#left);
    this.#held = this.#held.subarray(part.length);
    this.#left -= part.length;
    return part;
  }

  async #length(options?: WaitOptions): Promise<number> {
    let value = 0;
    for (let count = 1; count <= MAX_VARINT_BYTES; count++) {
      if (!await this.#fill(options)) throw cut();
      const byte = this.#held[0] ?? 0;
      this.#held = this.#held.subarray(1);
      value += (byte % 128) * 128 ** (count - 1);
      if (byte >= 128) continue;
      if ((count > 1 && byte === 0) || value > 0xffffffff) break;
      return value;
    }
    throw new ProtocolError(
      "ERR_WIRE_SEGMENT",
      "Cannot read a segment as the length of a chunk is no length",
    );
  }

  /** Sees to it that bytes are held; `false` at the end. */
  async #fill(options?: WaitOptions): Promise<boolean> {
    while (this.#held.length === 0) {
      const chunk = await this.#pull(options);
      if (chunk === null) return false;
      this.#held = chunk;
    }
    return true;
  }
}

/** Copies one segment to a sink. */
export async function copyBody(
  reader: SegmentReader,
  sink: SegmentSink,
  options?: WaitOptions,
): Promise<number | null> {
  const writer = typeof sink === "function" ? null : sink.getWriter();
  try {
    if (!await reader.begin(options)) return null;
    let total = 0;
    for (let part = await reader.next(options); part !== null; part = await reader.next(options)) {
      if (typeof sink === "function") await sink(part);
      else {
        await writer?.ready;
        await writer?.write(part);
      }
      total += part.length;
    }
    return total;
  } finally {
    writer?.releaseLock();
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function cut(): ProtocolError {
  return new ProtocolError("ERR_WIRE_SEGMENT", "Cannot read a segment as the stream ended inside it");
}
