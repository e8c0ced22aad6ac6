// Buffers: a bounded store of write buffers for the whole process, so that idle connections hold none.
import { trimWithSweeps } from "../../async/sweeper.ts";

/** Size of the first buffer of a batch, in bytes: most batches are a few small frames. */
export const SMALL_BYTES: number = 8 * 1024;

/** Most bytes that are joined into one write. */
export const LARGE_BYTES: number = 64 * 1024;

/**
 * Most bytes that are joined into one write on a link that has proved to be fast: 256 KiB and some
 * headers.
 */
export const HUGE_BYTES: number = 257 * 1024;

/**
 * Most bytes kept in buffers of each size: 512 small, 64 large, 15 huge buffers. The garbage
 * collector gets the rest.
 */
const KEPT_BYTES = 4 * 1024 * 1024;

/** What was not needed for so long, in ms, goes to the garbage collector: after a burst all does. */
const UNNEEDED_MS = 4000;

/** Buffers of one size that wait for their next use. */
class Shelf {
  readonly #bytes: number;
  readonly #kept: Uint8Array[] = [];
  /** The fewest that were here since the last {@linkcode trim}: so many were not needed. */
  #unneeded = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  take(): Uint8Array {
    const kept = this.#kept;
    const buffer = kept.pop();
    if (kept.length < this.#unneeded) this.#unneeded = kept.length;
    return buffer ?? new Uint8Array(this.#bytes);
  }

  put(buffer: Uint8Array): void {
    if (this.#kept.length * this.#bytes < KEPT_BYTES) this.#kept.push(buffer);
  }

  trim(): void {
    this.#kept.length -= this.#unneeded;
    this.#unneeded = this.#kept.length;
  }

  clear(): void {
    this.#kept.length = this.#unneeded = 0;
  }
}

const small = new Shelf(SMALL_BYTES);
const large = new Shelf(LARGE_BYTES);
const huge = new Shelf(HUGE_BYTES);
const shelves = [small, large, huge];
let trimmedAtMs = -Infinity;

trimWithSweeps({
  trim(clockMs) {
    if (clockMs - trimmedAtMs < UNNEEDED_MS) return;
    trimmedAtMs = clockMs;
    for (const shelf of shelves) shelf.trim();
  },
  clear() {
    for (const shelf of shelves) shelf.clear();
  },
});

/**
 * Returns a buffer for at least `bytes`, which must be 257 KiB at most. It still contains what it
 * was used for before.
 */
export function takeBuffer(bytes: number): Uint8Array {
  if (bytes <= SMALL_BYTES) return small.take();
  return bytes <= LARGE_BYTES ? large.take() : huge.take();
}

/**
 * Releases a buffer once nothing refers to its bytes any more. It is kept for its next use, for a
 * few seconds, and while there are connections.
 */
export function returnBuffer(buffer: Uint8Array): void {
  const { length } = buffer;
  (length === SMALL_BYTES ? small : length === LARGE_BYTES ? large : huge).put(buffer);
}
