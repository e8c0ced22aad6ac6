// AcceptBackoff: how long an accept loop waits after its listener failed, in one place for all of them.

/** First wait in ms: a descriptor is often free again by then. */
const FIRST_MS = 5;

/** Longest wait in ms: how late a loop notices that things are well again. */
const LONGEST_MS = 500;

/**
 * Counts the faults of a listener in a row and says how long to wait after each: from 5 ms twice as long each time, to 500 ms at
 * most. Faults of one connection never come here: the listener goes on by itself after those.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const backoff = new AcceptBackoff();
 * assertEquals([backoff.nextMs(), backoff.nextMs(), backoff.nextMs()], [5, 10, 20]);
 * backoff.reset();
 * assertEquals(backoff.nextMs(), 5);
 * ```
 */
export class AcceptBackoff {
  #lastMs = 0;

  /** Counts a fault; returns ms to wait before the next `accept`. */
  nextMs(): number {
    this.#lastMs = Math.min(LONGEST_MS, Math.max(FIRST_MS, 2 * this.#lastMs));
    return this.#lastMs;
  }

  /** A connection was accepted: the next fault is the first again. */
  reset(): void {
    this.#lastMs = 0;
  }
}
