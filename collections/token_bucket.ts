// TokenBucket: a rate with a burst, which returns how long to wait rather than only yes or no.

/** Longest debt, in ms of the rate: one large message must not stop all later ones for hours. */
export const MAX_DEBT_MS = 30_000;

/** Waits below this, in ms, count as over: sums of fractions are not exact. */
const TOLERANCE_MS = 0.001;

/** Options of {@linkcode TokenBucket}. */
export interface TokenBucketOptions {
  /** Tokens that come back per second; greater than 0. */
  readonly perSecond: number;
  /**
   * Most tokens that the bucket holds, and those that it starts with.
   * @default {one second of the rate, at least 1}
   */
  readonly burst?: number | undefined;
}

/**
 * A token bucket. A count above the burst passes when the bucket is full, because it could never
 * pass otherwise. It leaves a debt of 30 seconds of the rate at most.
 *
 * `nowMs` is the time of a clock that does not go back, such as `performance.now()`. If it does go
 * back, no token is added until it has moved on again.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
 * assertEquals(bucket.tryTake(2, 0), true);
 * assertEquals(bucket.waitMs(1, 0), 100); // a token short at ten per second
 * assertEquals(bucket.tryTake(1, 50), false);
 * assertEquals(bucket.tryTake(1, 100), true);
 * ```
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  /**
   * Makes a full bucket.
   *
   * @throws {RangeError} when the rate or the burst is not greater than 0 and finite
   */
  constructor(options: TokenBucketOptions, nowMs: number) {
    const { perSecond, burst = Math.max(1, perSecond) } = options;
    for (const [name, value] of [["perSecond", perSecond], ["burst", burst]] as const) {
      if (!(value > 0 && value < Infinity)) {
        throw new RangeError(
          `Cannot limit a rate: "${name}" must be greater than 0 and finite, current value is ${value}`,
        );
      }
    }
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** Returns the tokens that are held; below 0 is a debt. */
  tokens(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens;
  }

  /** Takes `count` tokens that {@linkcode waitMs} or {@linkcode has} found to be there. */
  spend(count: number): void {
    this.#tokens = Math.max(this.#tokens - count, -this.#perMs * MAX_DEBT_MS);
  }

  /**
   * Returns whether {@linkcode tryTake} would take `count`. A count above the burst passes when the
   * bucket is full (it could never pass otherwise) and leaves a debt.
   */
  has(count: number, nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= Math.min(count, this.#burst);
  }

  /** Takes `count` tokens if they are there. Returns whether it took them. See {@linkcode has}. */
  tryTake(count: number, nowMs: number): boolean {
    if (!this.has(count, nowMs)) return false;
    this.spend(count);
    return true;
  }

  /** Returns the milliseconds until {@linkcode tryTake} would take `count`; 0 when it would take them now. */
  waitMs(count: number, nowMs: number): number {
    this.#refill(nowMs);
    const waitMs = (Math.min(count, this.#burst) - this.#tokens) / this.#perMs;
    return waitMs < TOLERANCE_MS ? 0 : waitMs;
  }

  /**
   * Returns the milliseconds in which the bucket will have had `count` tokens in all, with those
   * that it holds. Changes nothing.
   */
  drainMs(count: number, nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    const held = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perMs);
    return Math.max(0, (count - held) / this.#perMs);
  }

  /** Puts `count` tokens back, as far as they fit. */
  restore(count: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + count);
  }

  #refill(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (elapsedMs > 0) this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perMs);
  }
}
