// ReadBuffer: where a socket's reads go, small while little comes and large while much does.

/** Smallest buffer in bytes: what a pending read costs an idle connection. */
const MIN_BYTES = 4 * 1024;

/** Largest buffer in bytes: beyond it, a read costs more memory and no fewer calls. */
const MAX_BYTES = 64 * 1024;

/** So many nearly empty reads in a row halve the buffer: one short message between long ones does not. */
const SHRINK_AFTER = 8;

/**
 * Hands out places to read into, one after the other in one buffer, so that a chunk once taken is never written to again. The
 * buffer doubles from 4 KiB to 64 KiB while reads fill it, and halves while they come back nearly empty.
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

  /** A place to read into: at least half of the present size. It holds until {@linkcode take}. */
  space(): Uint8Array<ArrayBuffer> {
    const size = this.#bytes.length;
    if (size > this.#target || size - this.#used < this.#target / 2) {
      this.#bytes = new Uint8Array(this.#target);
      this.#used = 0;
    }
    // Faster than `subarray`, which looks for a class of the caller's.
    return this.#used === 0 ? this.#bytes : new Uint8Array(this.#bytes.buffer, this.#used);
  }

  /** The first `length` bytes of the place last handed out; they belong to the caller from now on. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const start = this.#used;
    this.#used = start + length;
    if (length === this.#bytes.length) {
      this.#target = Math.min(MAX_BYTES, length * 2);
      this.#small = 0;
    } else if (length > this.#target / 8) {
      this.#small = 0;
    } else if (this.#target > MIN_BYTES && ++this.#small >= SHRINK_AFTER) {
      this.#target /= 2;
      this.#small = 0;
    }
    return new Uint8Array(this.#bytes.buffer, start, length);
  }

  /** Lets go of the buffer; the next {@linkcode space} starts small. */
  release(): void {
    this.#bytes = EMPTY;
    this.#used = 0;
    this.#target = MIN_BYTES;
  }
}

const EMPTY = new Uint8Array(0);
