// RateLimits: messages and bytes per second, per connection and per source.
import { checkInteger, checkNumber } from "./check.ts";
import { RecencyMap } from "./recency_map.ts";
import { TokenBucket, type TokenBucketOptions } from "./token_bucket.ts";

/** Highest rate and burst that can be set, per second: well inside what a number counts exactly. */
const MAX_RATE = 2 ** 50;

/** Lowest rate that can be set, per second: one in about three hours. */
const MIN_RATE = 0.0001;

/** A limit on the rate at which messages come in. What is absent is not limited. */
export interface RateLimit {
  /** Messages per second. */
  readonly messagesPerSecond?: number;
  /** Messages that may come at once after a rest. @default {one second of the rate, at least 1} */
  readonly burstMessages?: number;
  /** Bytes of messages per second. */
  readonly bytesPerSecond?: number;
  /** Bytes that may come at once after a rest. @default {one second of the rate, at least 1} */
  readonly burstBytes?: number;
}

/** Options of {@linkcode RateLimits}. */
export interface RateLimitsOptions {
  /** Limit for each connection by itself. @default {none} */
  readonly perConnection?: RateLimit;
  /**
   * Limit for all connections of one source together, loopback included. Connections without a source (unix
   * sockets, memory) are not counted together. @default {none}
   */
  readonly perSource?: RateLimit;
  /** Sources that are remembered, the least recently used ones forgotten first. @default {65536} */
  readonly maxSources?: number;
}

/**
 * Rate limits of a server. A connection asks for its {@linkcode RateGate} once, and the gate with every message.
 *
 * @example A reader that waits as it is told to
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const limits = new RateLimits({ perConnection: { messagesPerSecond: 100, burstMessages: 1 } });
 * const gate = limits.gate("192.0.2.7", 0);
 * assertEquals(gate?.take(1, 512, 0), 0);
 * assertEquals(gate?.take(1, 512, 0), 10);
 * ```
 */
export class RateLimits {
  readonly #perConnection: readonly BucketPlan[];
  readonly #perSource: readonly BucketPlan[];
  readonly #maxSources: number;
  readonly #sources: RecencyMap<string, readonly Metered[]> = new RecencyMap();

  /**
   * Checks the limits.
   *
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when a rate, a burst or a number of sources is out of range
   */
  constructor(options: RateLimitsOptions = {}) {
    const { perConnection = {}, perSource = {}, maxSources = 65_536 } = options;
    this.#perConnection = plan("perConnection", perConnection);
    this.#perSource = plan("perSource", perSource);
    this.#maxSources = checkInteger("Cannot limit rates", "maxSources", maxSources, 1, 2 ** 24);
  }

  /** Sources that are remembered now. */
  get sources(): number {
    return this.#sources.size;
  }

  /**
   * Gives the gate that the messages of a new connection pass, or `null` where nothing is limited.
   *
   * @param source Key of its source, see `sourceKey`
   */
  gate(source: string | null, nowMs: number): RateGate | null {
    const own = this.#perConnection.map((bucket) => build(bucket, nowMs));
    const shared = source === null ? [] : this.#shared(source, nowMs);
    const metered = [...own, ...shared];
    return metered.length === 0 ? null : new RateGate(metered);
  }

  /** The buckets of a source outlive its connections: else connecting anew would be a new burst. */
  #shared(source: string, nowMs: number): readonly Metered[] {
    if (this.#perSource.length === 0) return [];
    const known = this.#sources.touch(source);
    if (known !== undefined) return known;
    if (this.#sources.size >= this.#maxSources) {
      const oldest = this.#sources.oldest();
      if (oldest !== undefined) this.#sources.delete(oldest[0]);
    }
    const fresh = this.#perSource.map((bucket) => build(bucket, nowMs));
    this.#sources.set(source, fresh);
    return fresh;
  }
}

/** What a bucket counts. */
type Unit = "messages" | "bytes";

/** A bucket to be made. */
interface BucketPlan {
  readonly unit: Unit;
  readonly options: TokenBucketOptions;
}

/** A bucket, and what it counts. */
interface Metered {
  readonly unit: Unit;
  readonly bucket: TokenBucket;
}

/**
 * The limits that the messages of one connection pass: its own, and those it shares with others of its source.
 * Made by {@linkcode RateLimits.gate}.
 */
export class RateGate {
  readonly #metered: readonly Metered[];

  /** Joins buckets into one gate. */
  constructor(metered: readonly Metered[]) {
    this.#metered = metered;
  }

  /**
   * Counts what has come in. Gives the milliseconds that the reader has to pause before it reads on, 0 for none:
   * the kernel's buffers then fill up and the peer slows down, nothing is lost.
   */
  take(messages: number, bytes: number, nowMs: number): number {
    let waitMs = 0;
    for (const { unit, bucket } of this.#metered) {
      const count = unit === "messages" ? messages : bytes;
      waitMs = Math.max(waitMs, bucket.take(count, nowMs));
    }
    return waitMs;
  }

  /** Counts what has come in if every limit allows it; `false`, and nothing counted, otherwise. */
  tryTake(messages: number, bytes: number, nowMs: number): boolean {
    const allowed = this.#metered.every(({ unit, bucket }) =>
      bucket.has(unit === "messages" ? messages : bytes, nowMs)
    );
    if (allowed) this.take(messages, bytes, nowMs);
    return allowed;
  }

  /** Gives the milliseconds until every debt is paid; 0 when there is none. */
  waitMs(nowMs: number): number {
    return this.#metered.reduce((longest, { bucket }) => Math.max(longest, bucket.waitMs(nowMs)), 0);
  }
}

function build(planned: BucketPlan, nowMs: number): Metered {
  return { unit: planned.unit, bucket: new TokenBucket(planned.options, nowMs) };
}

function plan(scope: string, limit: RateLimit): BucketPlan[] {
  const { messagesPerSecond, burstMessages, bytesPerSecond, burstBytes } = limit;
  const plans: BucketPlan[] = [];
  const parts = [
    ["messages", "messagesPerSecond", messagesPerSecond, "burstMessages", burstMessages],
    ["bytes", "bytesPerSecond", bytesPerSecond, "burstBytes", burstBytes],
  ] as const;
  for (const [unit, rateName, rate, burstName, burst] of parts) {
    if (rate === undefined) {
      if (burst === undefined) continue;
      throw new TypeError(
        `Cannot limit rates as "${scope}.${burstName}" needs "${scope}.${rateName}" beside it`,
      );
    }
    const perSecond = checkNumber("Cannot limit rates", `${scope}.${rateName}`, rate, MIN_RATE, MAX_RATE);
    if (burst === undefined) {
      plans.push({ unit, options: { perSecond } });
    } else {
      const checked = checkNumber("Cannot limit rates", `${scope}.${burstName}`, burst, 1, MAX_RATE);
      plans.push({ unit, options: { perSecond, burst: checked } });
    }
  }
  return plans;
}
