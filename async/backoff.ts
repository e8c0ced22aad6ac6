// Backoff: how long a client waits before it dials again.
import { ignoreRejection } from "./rejections.ts";
import { checkDurationMs, checkFunction, MAX_TIMER_MS } from "../options/check.ts";

/** What a {@linkcode ReconnectPolicy} may decide by. */
export interface ReconnectInfo {
  /**
   * Number of the attempt that comes next, counted from the last link that was of use: 1 after the
   * loss of such a link, or after the very first attempt failed. A link is of use once it has
   * received something, or has lasted `healthyAfterMs`.
   */
  readonly attempt: number;
  /** Why the last attempt failed, or the link was lost. */
  readonly error: unknown;
  /** Time since the link was lost, or since the first attempt when there never was one, in milliseconds. */
  readonly elapsedMs: number;
}

/**
 * Decides how long to wait before the next attempt, in milliseconds, or, by `null`, that there is none.
 * It stands in for the delays of the options; `maxAttempts` still holds.
 */
export type ReconnectPolicy = (info: ReconnectInfo) => number | null;

/** How a client dials again. */
export interface ReconnectOptions {
  /** Shortest delay, in milliseconds: a server that restarts is back soon. @default {100} */
  readonly minDelayMs?: number | undefined;
  /**
   * Longest delay, in milliseconds: a server that was away for long is found again within that.
   * @default {30000}
   */
  readonly maxDelayMs?: number | undefined;
  /**
   * Attempts that may fail in a row, beside the first one, before giving up; `Infinity` for never.
   * The loss of a link is no failed attempt: every link that comes up starts the count over.
   *
   * @default {Infinity}
   */
  readonly maxAttempts?: number | undefined;
  /**
   * Time that a link which has received nothing must have lasted for the delays to start over, in
   * milliseconds. One that has received something starts them over in any case. So a server that
   * accepts and fails at once is not dialled every 100 ms.
   *
   * @default {5000} shorter than any proxy lets a connection be idle; and one attempt in five
   * seconds does no harm
   */
  readonly healthyAfterMs?: number | undefined;
  /** Decides in place of the delays above. */
  readonly policy?: ReconnectPolicy | undefined;
}

/** Bounds of a delay; see {@linkcode nextDelay}. */
export interface DelayBounds {
  /** Shortest delay, in milliseconds. @default {100} */
  readonly minDelayMs?: number | undefined;
  /** Longest delay, in milliseconds. @default {30000} */
  readonly maxDelayMs?: number | undefined;
}

/** Doublings after which the delay is the longest one whatever the bounds are. */
const MAX_DOUBLINGS = 32;

/**
 * Returns the delay before an attempt, with full jitter: evenly spread from the shortest delay to a
 * bound that doubles with every attempt, up to the longest delay. A thousand clients that lost the
 * same server come back spread out, not all at once.
 *
 * @param attempt Number of the attempt that is to come, from 1
 * @param random A number from 0 to below 1
 * @returns milliseconds
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(nextDelay(1, 0.5), 150); // 100 to 200
 * assertEquals(nextDelay(3, 0.5), 450); // 100 to 800
 * assertEquals(nextDelay(50, 0.5), 15_050); // 100 to 30 000
 * ```
 */
export function nextDelay(attempt: number, random: number, bounds: DelayBounds = {}): number {
  const { minDelayMs = 100, maxDelayMs = 30_000 } = bounds;
  const bound = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(attempt, MAX_DOUBLINGS));
  return minDelayMs + random * (bound - minDelayMs);
}

/**
 * Counts the attempts of a client that keeps a link up, and returns how long to wait before the next attempt.
 *
 * ```text
 *  failed() ──▶ delay ──▶ dial ──▶ connected() ──▶ … link … used() … ──▶ failed()
 *     ▲                    │                        delays start over after used(), or 5 s of link
 *     └────────────────────┘ counts on
 * ```
 *
 * It counts attempts that failed in a row, which `maxAttempts` limits and any link sets back to 0.
 * It counts attempts since a link was of use, too: by those, delays grow.
 *
 * Time comes in as `nowMs` from a clock that does not go back, such as `performance.now()`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const backoff = new Backoff({ minDelayMs: 100, maxAttempts: 2 });
 * assertEquals(backoff.failed(new Error("refused"), 0, 0.5), 150);
 * assertEquals(backoff.failed(new Error("refused"), 160, 0.5), 250);
 * assertEquals(backoff.failed(new Error("refused"), 420, 0.5), null);
 * ```
 */
export class Backoff {
  readonly #bounds: DelayBounds;
  readonly #maxAttempts: number;
  readonly #healthyAfterMs: number;
  readonly #policy: ReconnectPolicy | undefined;
  /** Attempts since a link was of use. */
  #attempt = 0;
  /** Attempts since there was a link. */
  #failures = 0;
  #wasUsed = false;
  #outageSinceMs: number | undefined;
  #connectedAtMs: number | undefined;

  /**
   * Checks the options.
   *
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when an option is out of range
   */
  constructor(options: ReconnectOptions = {}) {
    const { minDelayMs = 100, maxAttempts = Infinity, healthyAfterMs = 5000, policy } = options;
    const action = "Cannot reconnect";
    const min = checkDurationMs(action, "minDelayMs", minDelayMs);
    // A caller that sets only a shortest delay above the default of the longest delay means that
    // delay for both.
    const { maxDelayMs = Math.max(30_000, min) } = options;
    const max = checkDurationMs(action, "maxDelayMs", maxDelayMs, { minMs: min });
    this.#bounds = { minDelayMs: min, maxDelayMs: max };
    this.#maxAttempts = checkAttempts(action, maxAttempts);
    this.#healthyAfterMs = checkDurationMs(action, "healthyAfterMs", healthyAfterMs);
    if (policy !== undefined) checkFunction(action, "policy", policy);
    this.#policy = policy;
  }

  /** Attempts since a link was last of use. */
  get attempts(): number {
    return this.#attempt;
  }

  /**
   * Sets the time at which dialling begins, from which the first outage is counted. Later calls
   * change nothing.
   */
  started(nowMs: number): void {
    this.#outageSinceMs ??= nowMs;
  }

  /** Notes that the link is up. */
  connected(nowMs: number): void {
    this.#connectedAtMs = nowMs;
    this.#failures = 0;
    this.#wasUsed = false;
  }

  /** Notes that the link is of use: that it carried something from the server. */
  used(): void {
    this.#wasUsed = true;
  }

  /**
   * Notes that an attempt failed, or that the link was lost.
   *
   * @param random A number from 0 to below 1
   * @returns milliseconds to wait before the next attempt, `null` to give up
   * @throws {TypeError} when the policy returns neither a number nor `null`
   * @throws {RangeError} when the policy returns a delay that no timer can wait
   */
  failed(error: unknown, nowMs: number, random: number): number | null {
    if (this.#connectedAtMs !== undefined) {
      if (this.#wasUsed || nowMs - this.#connectedAtMs >= this.#healthyAfterMs) this.#attempt = 0;
      this.#connectedAtMs = undefined;
      this.#outageSinceMs = nowMs;
    }
    this.#outageSinceMs ??= nowMs;
    if (this.#failures >= this.#maxAttempts) return null;
    this.#failures++;
    const attempt = ++this.#attempt;
    if (this.#policy === undefined) return nextDelay(attempt, random, this.#bounds);
    const delayMs: unknown = this.#policy({
      attempt,
      error,
      elapsedMs: nowMs - this.#outageSinceMs,
    });
    if (delayMs === null) return null;
    // The policy must answer at once. What the promise of an async one rejects with must not end the process.
    if (delayMs instanceof Promise) ignoreRejection(delayMs);
    return checkDurationMs("Cannot reconnect", "policy(…)", delayMs, { minMs: 0 });
  }
}

function checkAttempts(action: string, value: unknown): number {
  if (value === Infinity) return Infinity;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_TIMER_MS) {
    return value;
  }
  const Kind = typeof value === "number" ? RangeError : TypeError;
  throw new Kind(
    `${action}: "maxAttempts" must be a whole number from 0, or Infinity, current value is ${
      String(value)
    }`,
  );
}
