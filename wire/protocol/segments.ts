// Segments: several sources one after the other on one stream, each with an end of its own.
import { ClosedError, ProtocolError, TimeoutError } from "../../errors.ts";
import type { WaitOptions } from "../../async/wait.ts";
import { type EndWatch, Step } from "../../async/step.ts";

/** What a segment can be made from: a file's `readable`, a response's `body`, an array of chunks. */
export type SegmentSource =
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>;

/** Where a segment can go: a file's `writable`, or a function that takes chunks. */
export type SegmentSink =
  | WritableStream<Uint8Array>
  | ((chunk: Uint8Array) => Promise<void> | void);

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
  readonly #end: EndWatch;
  #busy = false;

  /** `end` watches over the stream that is written to. */
  constructor(write: (bytes: Uint8Array, options?: WaitOptions) => Promise<void>, end: EndWatch) {
    this.#write = write;
    this.#end = end;
  }

  /** Sends one segment; returns the bytes of the source. Cancels the source when the segment ends early. */
  async send(source: SegmentSource, options: WaitOptions = {}): Promise<number> {
    if (this.#busy) throw new TypeError("Cannot send a segment: another one is under way");
    this.#busy = true;
    let total = 0;
    let chunks: Chunks | undefined;
    try {
      const step = new Step(options, late);
      chunks = chunksOf(source);
      this.#end.watch((error) => step.fail(error ?? over()));
      for (
        let chunk = await step.wait(chunks.next());
        chunk !== null;
        chunk = await step.wait(chunks.next())
      ) {
        for (let offset = 0; offset < chunk.length; offset += MAX_CHUNK_BYTES) {
          const part = chunk.subarray(offset, offset + MAX_CHUNK_BYTES);
          await this.#write(joined(encodeVarint(part.length), part), options);
        }
        total += chunk.length;
      }
      await this.#write(END, options);
      chunks.release();
    } catch (error) {
      chunks?.cancel(error);
      throw error;
    } finally {
      this.#busy = false;
      this.#end.unwatch();
    }
    return total;
  }
}

function late(ms: number): TimeoutError {
  return new TimeoutError(
    "ERR_WRITE_TIMEOUT",
    `Cannot send a segment: its source yielded nothing for ${ms} ms`,
  );
}

function over(): ClosedError {
  return new ClosedError("ERR_RESET", "Cannot send a segment: the stream is over");
}

/** The chunks of a source, one after the other, with a way out while it is silent. */
interface Chunks {
  next(): Promise<Uint8Array | null>;
  /** All of it was read. */
  release(): void;
  /** No more is wanted; what the source says to that is of no use any more. */
  cancel(reason: unknown): void;
}

function chunksOf(source: SegmentSource): Chunks {
  if (source instanceof ReadableStream) {
    const reader = source.getReader();
    return {
      next: async () => {
        const { done, value } = await reader.read();
        return done ? null : value;
      },
      release: () => reader.releaseLock(),
      cancel: (reason) => {
        reader.cancel(reason).catch(() => {});
        reader.releaseLock();
      },
    };
  }
  const iterator = Symbol.asyncIterator in source
    ? source[Symbol.asyncIterator]()
    : source[Symbol.iterator]();
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      return done ? null : value;
    },
    release: () => {},
    // A generator that is waiting ends when its wait does.
    cancel: () => void (async () => await iterator.return?.())().catch(() => {}),
  };
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

  /** Whether a segment was begun and not read to its end. */
  get isInside(): boolean {
    return this.#inside;
  }

  /** Takes the bytes that came and were not returned; nothing can be read after that. */
  takeHeld(): Uint8Array {
    const held = this.#held;
    this.#held = new Uint8Array(0);
    return held;
  }

  /** Whether the rest of the segment is held. */
  get isWhole(): boolean {
    const bytes = this.#held;
    for (let at = this.#left; at < bytes.length;) {
      let length = 0;
      let more = true;
      for (let factor = 1; more && at < bytes.length; factor *= 128) {
        const byte = bytes[at++] ?? 0;
        length += (byte % 128) * factor;
        more = byte >= 128;
      }
      if (more) return false;
      if (length === 0) return true;
      at += length;
    }
    return false;
  }

  /** Begins the next segment; `false` when there is none. */
  async begin(options?: WaitOptions): Promise<boolean> {
    if (this.#inside) throw new TypeError("Cannot read a segment: another one is under way");
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
      "Cannot read a segment: the length of a chunk is no length",
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

/** What {@linkcode copyBody} needs to know of its stream. */
export interface BodyEnd {
  readonly watch: EndWatch;
  /** Whether bytes are held that came before the end and were not read. */
  hasMore(): boolean;
}

/** Copies one segment to a sink; returns its bytes, `null` when there is none. */
export async function copyBody(
  reader: SegmentReader,
  sink: SegmentSink,
  end: BodyEnd,
  options: WaitOptions = {},
): Promise<number | null> {
  const step = new Step(options, stalled);
  const writer = typeof sink === "function" ? null : sink.getWriter();
  const put = writer === null
    ? sink as (chunk: Uint8Array) => Promise<void> | void
    : async (chunk: Uint8Array) => {
      await writer.ready;
      await writer.write(chunk);
    };
  try {
    if (!await reader.begin(options)) return null;
    // What came whole is worth waiting for, however the stream ends.
    end.watch.watch((error) =>
      error !== undefined && !reader.isWhole && !end.hasMore() && step.fail(error)
    );
    let total = 0;
    for (let part = await reader.next(options); part !== null; part = await reader.next(options)) {
      const putting = put(part);
      if (putting !== undefined) await step.wait(putting);
      total += part.length;
    }
    return total;
  } finally {
    end.watch.unwatch();
    writer?.releaseLock();
  }
}

function stalled(ms: number): TimeoutError {
  return new TimeoutError(
    "ERR_READ_TIMEOUT",
    `Cannot read a segment: its sink took nothing for ${ms} ms`,
  );
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function cut(): ProtocolError {
  return new ProtocolError("ERR_WIRE_SEGMENT", "Cannot read a segment: the stream ended inside it");
}
