// RetryBudget: how much may be tried again, so that retries cannot multiply a failure. Pure: time
// is passed in.
import type { Resolved } from "../options/resolved.ts";

/** Options of the budget for retries. */
export interface RetryBudgetOptions {
  /**
   * Retries for each request, 0 to 1.
   *
   * @default {0.2} backends that fail see at most a fifth more work
   */
  ratio?: number | undefined;
  /**
   * Retries a second that are allowed however few requests there are, 0 to 1000.
   *
   * @default {10} so that a quiet client can try again as well
   */
  minPerSecond?: number | undefined;
}

/** Seconds for which unused retries are kept. */
const KEPT_SECONDS = 10;

/** Requests whose share is kept. */
const KEPT_REQUESTS = 1000;

/**
 * A purse of retries. Requests pay in, retries take out, and time brings a little. What is not used
 * is kept for 10 seconds, or 1000 requests' worth, whichever is more.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "./retry_budget.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const budget = new RetryBudget({ ratio: 0.5, minPerSecond: 0 }, 0);
 * budget.request();
 * budget.request();
 * assertEquals(budget.tryTake(0), true);
 * assertEquals(budget.tryTake(0), false);
 * ```
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #perMs: number;
  readonly #max: number;
  #tokens: number;
  #atMs: number;

  /** Starts with one second's worth. */
  constructor(options: Resolved<RetryBudgetOptions>, nowMs: number) {
    this.#ratio = options.ratio;
    this.#perMs = options.minPerSecond / 1000;
    this.#max = Math.max(options.minPerSecond * KEPT_SECONDS, options.ratio * KEPT_REQUESTS);
    this.#tokens = options.minPerSecond;
    this.#atMs = nowMs;
  }

  /** Counts a request, which is no retry. */
  request(): void {
    this.#tokens = Math.min(this.#max, this.#tokens + this.#ratio);
  }

  /** Takes one retry out; `false` when none is left. */
  tryTake(nowMs: number): boolean {
    const gained = Math.max(0, nowMs - this.#atMs) * this.#perMs;
    this.#tokens = Math.min(this.#max, this.#tokens + gained);
    this.#atMs = Math.max(this.#atMs, nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
