// TokenBucket: a rate with a burst, which tells how long to wait rather than only yes or no.

/** Options of {@linkcode TokenBucket}. */
export interface TokenBucketOptions {
  /** Tokens that come back per second; greater than 0. */
  readonly perSecond: number;
  /** Most tokens that are held, and what the bucket starts with. @default {one second of the rate, at least 1} */
  readonly burst?: number;
}

/**
 * A token bucket. {@linkcode take} always takes and may leave a debt: a reader that waits as long as it is told to
 * slows its peer down and loses nothing. {@linkcode tryTake} refuses instead.
 *
 * Time comes in as `nowMs` from a clock that does not go back, such as `performance.now()`; if it does go back,
 * nothing is refilled until it has moved on again.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
 * assertEquals(bucket.take(2, 0), 0);
 * assertEquals(bucket.take(1, 0), 100); // a token short at ten per second
 * assertEquals(bucket.tryTake(1, 150), false);
 * assertEquals(bucket.tryTake(1, 200), true);
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
          `Cannot limit a rate as "${name}" must be greater than 0 and finite: current value is ${value}`,
        );
      }
    }
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** Gives the tokens that are held; below 0 is a debt. */
  tokens(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens;
  }

  /** Takes `count` tokens, even into debt. Gives the milliseconds until the debt is paid; 0 when there is none. */
  take(count: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#tokens -= count;
    return this.#debtMs();
  }

  /**
   * Tells whether {@linkcode tryTake} would take `count`. A count above the burst passes when the bucket is full
   * (it could never pass otherwise) and leaves a debt.
   */
  has(count: number, nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= Math.min(count, this.#burst);
  }

  /** Takes `count` tokens if they are there; `false`, and nothing taken, otherwise. See {@linkcode has}. */
  tryTake(count: number, nowMs: number): boolean {
    if (!this.has(count, nowMs)) return false;
    this.#tokens -= count;
    return true;
  }

  /** Gives the milliseconds until the debt is paid; 0 when there is none. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#debtMs();
  }

  #refill(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (elapsedMs > 0) this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perMs);
  }

  #debtMs(): number {
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }
}
