// Buffers: a bounded store of write buffers for the whole process, so that idle connections hold none.

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

const small: Uint8Array[] = [];
const large: Uint8Array[] = [];
const huge: Uint8Array[] = [];

/**
 * Returns a buffer for at least `bytes`, which must be 257 KiB at most. It still contains what it
 * was used for before.
 */
export function takeBuffer(bytes: number): Uint8Array {
  if (bytes <= SMALL_BYTES) return small.pop() ?? new Uint8Array(SMALL_BYTES);
  if (bytes <= LARGE_BYTES) return large.pop() ?? new Uint8Array(LARGE_BYTES);
  return huge.pop() ?? new Uint8Array(HUGE_BYTES);
}

/** Releases a buffer once nothing refers to its bytes any more. */
export function returnBuffer(buffer: Uint8Array): void {
  const kept = buffer.length === SMALL_BYTES ? small : buffer.length === LARGE_BYTES ? large : huge;
  if (kept.length * buffer.length < KEPT_BYTES) kept.push(buffer);
}
