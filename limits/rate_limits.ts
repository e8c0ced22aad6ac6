// RateLimits: messages and bytes per second, per connection, per source and for a whole server.
import { checkInteger, checkNumber } from "../options/check.ts";
import { ByteLoan, type MeteredBucket, RateGate, RateStage, type RateUnit } from "./rate_gate.ts";
import { RecencyMap } from "../collections/recency_map.ts";
import { TokenBucket, type TokenBucketOptions } from "../collections/token_bucket.ts";

/** Highest rate and burst that can be set, per second: well inside what a number counts exactly. */
const MAX_RATE = 2 ** 50;

/** Lowest rate that can be set, per second: one in about three hours. */
const MIN_RATE = 0.0001;

/**
 * A limit on the rate at which messages are handed to the reader. What is absent is not limited. A
 * message is counted when it is delivered: messages over the limit wait, then the peer waits, and
 * none is lost.
 */
export interface RateLimit {
  /** Messages per second. */
  readonly messagesPerSecond?: number | undefined;
  /** Messages that may come at once after a rest. @default {one second of the rate, at least 1} */
  readonly burstMessages?: number | undefined;
  /**
   * Bytes of messages per second, without what their framing adds. A message larger than
   * `burstBytes` passes when none was delivered for as long as that burst takes; the next one waits
   * until it is paid for, though 30 seconds at most.
   */
  readonly bytesPerSecond?: number | undefined;
  /** Bytes that may come at once after a rest. @default {one second of the rate, at least 1} */
  readonly burstBytes?: number | undefined;
}

/** Options of {@linkcode RateLimits}. */
export interface RateLimitsOptions {
  /** Limit for each connection by itself. @default {none} */
  readonly perConnection?: RateLimit | undefined;
  /**
   * Limit for all connections of one source together, loopback included. They take turns, one
   * message each. Connections without a source (unix sockets, memory) are not counted together.
   * @default {none}
   */
  readonly perSource?: RateLimit | undefined;
  /**
   * Limit for all connections of the server together. Their sources take turns, one message each.
   * @default {none}
   */
  readonly perServer?: RateLimit | undefined;
  /** Sources that are remembered, the least recently used ones forgotten first. @default {65536} */
  readonly maxSources?: number | undefined;
}

/**
 * Rate limits of a server. A connection asks for its {@linkcode RateGate} once, and the gate with
 * every message.
 *
 * @example A reader that waits for as long as the limit asks
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const limits = new RateLimits({ perConnection: { messagesPerSecond: 100, burstMessages: 1 } });
 * const gate = limits.gate("192.0.2.7", 0);
 * assertEquals(gate?.ask(512, 0), 0); // it passes
 * assertEquals(gate?.ask(512, 0), 10); // the next one has to wait for so many ms
 * assertEquals(gate?.ask(512, 10), 0);
 * ```
 */
export class RateLimits {
  readonly #perConnection: readonly BucketPlan[];
  readonly #perSource: readonly BucketPlan[];
  readonly #perServer: readonly BucketPlan[];
  readonly #maxSources: number;
  readonly #sources: RecencyMap<string, RateStage> = new RecencyMap();
  readonly #loan = new ByteLoan();
  /** Of the whole server; made with the first gate, as time is known then. */
  #server: RateStage | null = null;

  /**
   * Checks the limits.
   *
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when a rate, a burst or a number of sources is out of range
   */
  constructor(options: RateLimitsOptions = {}) {
    const { perConnection = {}, perSource = {}, perServer = {}, maxSources = 65_536 } = options;
    this.#perConnection = plan("perConnection", perConnection);
    this.#perSource = plan("perSource", perSource);
    this.#perServer = plan("perServer", perServer);
    this.#maxSources = checkInteger("Cannot limit rates", "maxSources", maxSources, 1, 2 ** 24);
  }

  /** Sources that are remembered now. */
  get sources(): number {
    return this.#sources.size;
  }

  /**
   * Returns the gate that the messages of a new connection pass, or `null` where nothing is limited.
   *
   * @param source Key of its source, see `sourceKey`
   */
  gate(source: string | null, nowMs: number): RateGate | null {
    const stages: RateStage[] = [];
    if (this.#perConnection.length > 0) stages.push(build(this.#perConnection, nowMs));
    if (this.#perSource.length > 0 && source !== null) stages.push(this.#ofSource(source, nowMs));
    if (this.#perServer.length > 0) stages.push(this.#server ??= build(this.#perServer, nowMs));
    return stages.length === 0 ? null : new RateGate(stages, this.#loan);
  }

  /** The buckets of a source outlive its connections: else connecting anew would be a new burst. */
  #ofSource(source: string, nowMs: number): RateStage {
    const known = this.#sources.touch(source);
    if (known !== undefined) return known;
    if (this.#sources.size >= this.#maxSources) {
      const oldest = this.#sources.oldest();
      if (oldest !== undefined) this.#sources.delete(oldest[0]);
    }
    const fresh = build(this.#perSource, nowMs);
    this.#sources.set(source, fresh);
    return fresh;
  }
}

/** A bucket to be made. */
interface BucketPlan {
  readonly unit: RateUnit;
  readonly options: TokenBucketOptions;
}

function build(plans: readonly BucketPlan[], nowMs: number): RateStage {
  return new RateStage(plans.map(({ unit, options }): MeteredBucket => {
    return { unit, bucket: new TokenBucket(options, nowMs) };
  }));
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
        `Cannot limit rates: "${scope}.${burstName}" needs "${scope}.${rateName}" beside it`,
      );
    }
    const perSecond = checkNumber(
      "Cannot limit rates",
      `${scope}.${rateName}`,
      rate,
      MIN_RATE,
      MAX_RATE,
    );
    if (burst === undefined) {
      plans.push({ unit, options: { perSecond } });
    } else {
      const checked = checkNumber(
        "Cannot limit rates",
        `${scope}.${burstName}`,
        burst,
        1,
        MAX_RATE,
      );
      plans.push({ unit, options: { perSecond, burst: checked } });
    }
  }
  return plans;
}
