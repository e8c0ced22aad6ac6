// ReadBuffer: the memory for a socket's reads, small while little comes and large while much comes.

/** Smallest buffer in bytes: what a pending read costs an idle connection. */
const MIN_BYTES = 4 * 1024;

/** Largest buffer in bytes: beyond it, a read costs more memory and no fewer calls. */
const MAX_BYTES = 64 * 1024;

/** Largest buffer for reads that do not fill it. */
const MAX_SHARED_BYTES = 32 * 1024;

/** A buffer that is used up by fewer reads is too small: making one costs more than half a microsecond. */
const READS_PER_BUFFER = 4;

/** Least room in bytes that a read gets: less is left unused. */
const MIN_ROOM_BYTES = 1024;

/** So many nearly empty reads in a row halve the buffer: one short message between long ones does not. */
const SHRINK_AFTER = 8;

/**
 * After so long without a read, in ms, a small one shows that the time of large ones is over. A
 * place that a read waits for cannot be taken back: the platform has no way to end a read.
 */
const QUIET_MS = 5000;

/**
 * Returns places to read into, one after the other in one buffer, so that no read writes to a chunk
 * that was taken before. The buffer doubles from 4 KiB to 64 KiB while reads fill it, to 32 KiB
 * while a few reads use it up, and halves while reads are nearly empty. One small read after a few
 * seconds of silence makes it small again.
 *
 * @example
 * ```ts
 * import { ReadBuffer } from "./read_buffer.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const buffer = new ReadBuffer();
 * buffer.space().set([1, 2, 3]);
 * const chunk = buffer.take(3);
 * buffer.space().set([4, 5, 6]);
 * assertEquals(chunk, new Uint8Array([1, 2, 3]));
 * ```
 */
export class ReadBuffer {
  #bytes: Uint8Array<ArrayBuffer> = EMPTY;
  #used = 0;
  #target = MIN_BYTES;
  #small = 0;
  /** Number of reads into this buffer, and the length of the last read. */
  #reads = 0;
  #last = 0;
  /** When a read into a buffer that has grown ended, in ms. */
  #takenAtMs = 0;

  /**
   * Returns a place to read into: twice as large as the last read was, where there is that much. It
   * is valid until {@linkcode take}.
   */
  space(): Uint8Array<ArrayBuffer> {
    const size = this.#bytes.length;
    const usedUp = this.#used > 0 && size - this.#used < Math.max(MIN_ROOM_BYTES, 2 * this.#last);
    if (usedUp && this.#reads < READS_PER_BUFFER && this.#target < MAX_SHARED_BYTES) {
      this.#target = Math.max(this.#target, Math.min(MAX_SHARED_BYTES, size * 2));
    }
    // Where all reads are given back, the buffer is never used up, and grows here.
    const outgrown = this.#used === 0 && size < this.#target;
    if (usedUp || outgrown || size > this.#target) {
      this.#bytes = new Uint8Array(this.#target);
      this.#used = 0;
      this.#reads = 0;
    }
    // Faster than `subarray`, which looks up the class of the array.
    return this.#used === 0 ? this.#bytes : new Uint8Array(this.#bytes.buffer, this.#used);
  }

  /** Returns the first `length` bytes of the last place. They belong to the caller. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const start = this.#used;
    this.#used = start + length;
    this.#reads++;
    this.#last = length;
    if (length === this.#bytes.length) {
      this.#target = Math.min(MAX_BYTES, length * 2);
      this.#small = 0;
    } else if (length > this.#target / 16) {
      this.#small = 0;
    } else if (this.#target > MIN_BYTES && ++this.#small >= SHRINK_AFTER) {
      this.#target /= 2;
      this.#small = 0;
    }
    if (this.#target > MIN_BYTES) this.#notePause(length);
    return new Uint8Array(this.#bytes.buffer, start, length);
  }

  #notePause(length: number): void {
    const nowMs = Date.now();
    if (nowMs - this.#takenAtMs >= QUIET_MS && this.#takenAtMs > 0 && length < MIN_BYTES) {
      this.#target = MIN_BYTES;
      this.#small = 0;
    }
    this.#takenAtMs = nowMs;
  }

  /**
   * Takes back what the last {@linkcode take} returned, so that it is read into again. Anything
   * else stays with the reader that holds it.
   */
  reuse(chunk: Uint8Array): void {
    const isLast = chunk.buffer === this.#bytes.buffer &&
      chunk.byteOffset + chunk.length === this.#used;
    if (isLast) this.#used -= chunk.length;
  }

  /** Drops the buffer; the next {@linkcode space} starts small. */
  release(): void {
    this.#bytes = EMPTY;
    this.#used = 0;
    this.#last = 0;
    this.#target = MIN_BYTES;
  }
}

const EMPTY = new Uint8Array(0);
