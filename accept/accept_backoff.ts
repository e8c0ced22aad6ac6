// AcceptBackoff: how long an accept loop waits after its listener failed.

/** First wait in ms. A descriptor is often free again by then. */
const FIRST_MS = 5;

/** Longest wait in ms. The loop notices by so much late that the fault is over. */
const LONGEST_MS = 500;

/**
 * Counts consecutive faults of a listener, and returns the wait after each: 5 ms at first, doubled
 * each time, 500 ms at most. Faults of one connection do not count: the listener passes over those.
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

  /** Counts a fault. Returns the wait before the next `accept`, in ms. */
  nextMs(): number {
    this.#lastMs = Math.min(LONGEST_MS, Math.max(FIRST_MS, 2 * this.#lastMs));
    return this.#lastMs;
  }

  /** Forgets the faults so far. Call it when a connection was accepted. */
  reset(): void {
    this.#lastMs = 0;
  }
}
