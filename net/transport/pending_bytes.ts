// PendingBytes: bytes that wait to be written, in order: small frames joined in buffers, large data
// where it lies.
import { LARGE_BYTES, returnBuffer, SMALL_BYTES, takeBuffer } from "./buffers.ts";
import { Fifo } from "../../collections/fifo.ts";

/** Most bytes of large data that go out in one write. */
const SLICE_BYTES = 256 * 1024;

/** Bytes that go out in one write. */
export interface Segment {
  readonly bytes: Uint8Array;
  /** How many they are. The bytes of a sender that transfers its buffer too early become none. */
  readonly length: number;
  /** Buffer to return once they are written; `null` when the bytes are the sender's own. */
  readonly buffer: Uint8Array | null;
  /** Resolve it when they are written; on the last segment of large data only. */
  readonly written: PromiseWithResolvers<void> | null;
}

/**
 * The segments of a write side, and behind them the buffer being filled. The write side encodes
 * into {@linkcode room}, from {@linkcode filled} on, and then moves `filled`.
 *
 * Not for concurrent use: it belongs to one write side.
 */
export class PendingBytes {
  readonly #segments = new Fifo<Segment>();
  #fill: Uint8Array | null = null;
  /** Bytes in the buffer being filled. */
  filled = 0;

  /** How many segments are complete. */
  get size(): number {
    return this.#segments.size;
  }

  /** Whether the buffer being filled has room for `size` more bytes. */
  hasRoom(size: number): boolean {
    return this.#fill !== null && this.filled + size <= this.#fill.length;
  }

  /** Returns a buffer with room for `size` more bytes: a small one grows once, then full ones line up. */
  room(size: number): Uint8Array {
    const fill = this.#fill;
    return fill !== null && this.filled + size <= fill.length ? fill : this.#makeRoom(size);
  }

  #makeRoom(size: number): Uint8Array {
    const old = this.#fill;
    if (old !== null && old.length === SMALL_BYTES && this.filled + size <= LARGE_BYTES) {
      this.#fill = takeBuffer(LARGE_BYTES);
      this.#fill.set(old.subarray(0, this.filled));
      returnBuffer(old);
      return this.#fill;
    }
    this.seal();
    return this.#fill = takeBuffer(size);
  }

  /** Makes a segment of the buffer being filled. */
  seal(): void {
    if (this.#fill !== null) this.#segments.push(this.#takeFill(this.#fill));
  }

  #takeFill(buffer: Uint8Array): Segment {
    const length = this.filled;
    // Faster than `subarray`, which looks up the class of the array.
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, length);
    this.#fill = null;
    this.filled = 0;
    return { bytes, length, buffer, written: null };
  }

  /**
   * Lines up the sender's own bytes, from `start` on, behind what was sealed. `written` goes with
   * the last of them.
   */
  pushOwn(
    data: Uint8Array,
    start: number,
    written: PromiseWithResolvers<void> | null = null,
  ): void {
    for (let at = start; at < data.length; at += SLICE_BYTES) {
      const bytes = data.subarray(at, at + SLICE_BYTES);
      const isLast = at + SLICE_BYTES >= data.length;
      this.#segments.push({
        bytes,
        length: bytes.length,
        buffer: null,
        written: isLast ? written : null,
      });
    }
  }

  /** Takes out the first segment. */
  take(): Segment | undefined {
    return this.#segments.shift();
  }

  /** Takes out the first segment, or what is in the buffer being filled where there is none. */
  takeNext(): Segment | undefined {
    if (this.#segments.size > 0) return this.#segments.shift();
    return this.#fill === null || this.filled === 0 ? undefined : this.#takeFill(this.#fill);
  }

  /** Takes out the first segment, or of a longer one its first `maxBytes`. */
  takeAtMost(maxBytes: number): Segment | undefined {
    const first = this.#segments.peek();
    // Where the sender's buffer is gone, the write side finds that.
    if (first === undefined || first.length <= maxBytes || first.bytes.length !== first.length) {
      return this.take();
    }
    const rest = first.bytes.subarray(maxBytes);
    this.#segments.replaceFirst({ ...first, bytes: rest, length: rest.length });
    return {
      bytes: first.bytes.subarray(0, maxBytes),
      length: maxBytes,
      buffer: null,
      written: null,
    };
  }

  /** Returns the buffer being filled, which must be empty, to those that are shared. */
  release(): void {
    if (this.#fill === null) return;
    returnBuffer(this.#fill);
    this.#fill = null;
  }

  /** Drops everything; waits for data to be written reject with `error`, if there is one. */
  drop(error: Error | null): void {
    for (let next = this.take(); next !== undefined; next = this.take()) {
      if (error !== null) next.written?.reject(error);
    }
    this.#fill = null;
    this.filled = 0;
  }
}
