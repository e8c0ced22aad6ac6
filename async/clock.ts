// Clock: time as protocol code sees it, so that tests can advance it by hand.

/** Time and timers. Tests pass a clock of their own; everything else uses {@linkcode systemClock}. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /**
   * Calls `callback` once, after `delayMs`. Returns the function that cancels that, which may be
   * called at any time.
   */
  after(delayMs: number, callback: () => void): () => void;
}

/**
 * The clock of the machine.
 *
 * @example
 * ```ts
 * import { systemClock } from "@parley/parley/mux";
 * import { assert } from "@std/assert";
 *
 * const start = systemClock.now();
 * await new Promise<void>((resolve) => systemClock.after(5, resolve));
 * assert(systemClock.now() > start);
 * ```
 */
export const systemClock: Clock = {
  now: (): number => performance.now(),
  after: (delayMs: number, callback: () => void): () => void => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
