// Penalties: sources whose connections failed are refused for a time that grows from failure to failure.
import { checkBoolean, checkDurationMs, checkInteger } from "./check.ts";
import { RecencyMap } from "./recency_map.ts";
import { SourceExemptions } from "./source_exemptions.ts";

/** What a source is refused for. */
export type Offence = "failed_handshake" | "failed_auth" | "handshake_timeout";

/** Options of {@linkcode Penalties}. The model is OpenSSH's `PerSourcePenalties`. */
export interface PenaltiesOptions {
  /** Whether there are penalties at all. @default {true} */
  readonly enabled?: boolean;
  /**
   * First penalty after a failed handshake or a failed authentication, in milliseconds: long enough to make guessing
   * and scanning slow, short enough for whoever made a mistake.
   *
   * @default {5000}
   */
  readonly failureMs?: number;
  /** First penalty after a handshake that ran out of time, in milliseconds: it cost a slot. @default {10000} */
  readonly timeoutMs?: number;
  /** Longest penalty, in milliseconds. @default {600000} */
  readonly maxMs?: number;
  /**
   * Time after the end of a penalty in which one of the failures before it is forgotten, in milliseconds.
   *
   * @default {60000}
   */
  readonly decayMs?: number;
  /**
   * Sources that are remembered, of IPv4 and of IPv6 each, the least recent ones forgotten first. The families are
   * kept apart so that the plenty of IPv6 networks cannot push IPv4 addresses out.
   *
   * @default {65536}
   */
  readonly maxSources?: number;
}

/** Doublings after which a penalty grows no more, whatever the longest one is. */
const MAX_STRIKES = 32;

interface Conviction {
  /** When the penalty ends. */
  untilMs: number;
  /** Failures that count: the next penalty is doubled as often. */
  strikes: number;
}

/**
 * Penalties of sources. The first failure costs its base time; each further one, after the penalty is over, twice
 * the time of the one before, up to the longest. Failures while a penalty runs are from connections that were
 * let in before it began (sixteen at once are one mistake, not sixteen): they begin its base time anew and do not
 * double it. After a penalty one failure is forgotten per `decayMs`.
 *
 * Time comes in as `nowMs` from a clock that does not go back, such as `performance.now()`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const penalties = new Penalties();
 * penalties.punish("192.0.2.7", "failed_auth", 0);
 * assertEquals(penalties.remainingMs("192.0.2.7", 2_000), 3_000);
 * assertEquals(penalties.punish("192.0.2.7", "failed_auth", 6_000), 10_000);
 * assertEquals(penalties.punish("127.0.0.1", "failed_auth", 0), 0); // see limitLoopback
 * ```
 */
export class Penalties {
  readonly #enabled: boolean;
  readonly #baseMs: Readonly<Record<Offence, number>>;
  readonly #maxMs: number;
  readonly #decayMs: number;
  readonly #maxSources: number;
  readonly #exemptions: SourceExemptions;
  readonly #ipv4: RecencyMap<string, Conviction> = new RecencyMap();
  readonly #ipv6: RecencyMap<string, Conviction> = new RecencyMap();

  /**
   * Checks the options.
   *
   * @param exemptions Sources that get no penalties; loopback when absent
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when an option is out of range
   */
  constructor(options: PenaltiesOptions = {}, exemptions: SourceExemptions = new SourceExemptions()) {
    const { enabled = true, failureMs = 5_000, timeoutMs = 10_000, maxMs = 600_000 } = options;
    const { decayMs = 60_000, maxSources = 65_536 } = options;
    const action = "Cannot set penalties";
    this.#enabled = checkBoolean(action, "enabled", enabled);
    this.#maxMs = checkDurationMs(action, "maxMs", maxMs);
    const failure = checkDurationMs(action, "failureMs", failureMs, { maxMs });
    const timeout = checkDurationMs(action, "timeoutMs", timeoutMs, { maxMs });
    this.#baseMs = { failed_handshake: failure, failed_auth: failure, handshake_timeout: timeout };
    this.#decayMs = checkDurationMs(action, "decayMs", decayMs);
    this.#maxSources = checkInteger(action, "maxSources", maxSources, 1, 2 ** 24);
    this.#exemptions = exemptions;
  }

  /** Sources that are remembered now. */
  get size(): number {
    return this.#ipv4.size + this.#ipv6.size;
  }

  /**
   * Punishes a source.
   *
   * @returns milliseconds that it is refused from now on; 0 when it is left alone
   */
  punish(source: string | null, offence: Offence, nowMs: number): number {
    if (!this.#enabled || source === null || this.#exemptions.has(source)) return 0;
    const baseMs = this.#baseMs[offence];
    const family = this.#family(source);
    const known = family.touch(source);
    if (known === undefined) {
      this.#makeRoom(family);
      family.set(source, { untilMs: nowMs + baseMs, strikes: 1 });
      return baseMs;
    }
    if (nowMs < known.untilMs) {
      known.untilMs = Math.max(known.untilMs, nowMs + baseMs);
    } else {
      const strikes = this.#strikesLeft(known, nowMs);
      known.untilMs = nowMs + Math.min(this.#maxMs, baseMs * 2 ** strikes);
      known.strikes = Math.min(MAX_STRIKES, this.#usefulStrikes(baseMs), strikes + 1);
    }
    return known.untilMs - nowMs;
  }

  /** Gives the milliseconds that a source is still refused; 0 when it is not. */
  remainingMs(source: string | null, nowMs: number): number {
    if (source === null) return 0;
    const family = this.#family(source);
    const known = family.get(source);
    if (known === undefined) return 0;
    if (nowMs < known.untilMs) return known.untilMs - nowMs;
    if (this.#strikesLeft(known, nowMs) === 0) family.delete(source);
    return 0;
  }

  /** Forgets all that a source did, as after its owner has proved who it is. */
  forgive(source: string | null): void {
    if (source !== null) this.#family(source).delete(source);
  }

  #family(source: string): RecencyMap<string, Conviction> {
    return source.includes(":") ? this.#ipv6 : this.#ipv4;
  }

  #makeRoom(family: RecencyMap<string, Conviction>): void {
    if (family.size < this.#maxSources) return;
    const oldest = family.oldest();
    if (oldest !== undefined) family.delete(oldest[0]);
  }

  #strikesLeft(conviction: Conviction, nowMs: number): number {
    const forgotten = Math.floor((nowMs - conviction.untilMs) / this.#decayMs);
    return Math.max(0, conviction.strikes - forgotten);
  }

  /** Strikes above those that reach the longest penalty would only make it take longer to be forgotten. */
  #usefulStrikes(baseMs: number): number {
    return Math.max(1, Math.ceil(Math.log2(this.#maxMs / baseMs)));
  }
}
