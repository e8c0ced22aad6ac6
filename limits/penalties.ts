// Penalties: sources owe time for failed connections, and are refused while they owe too much.
import { checkBoolean, checkDurationMs, checkInteger } from "../options/check.ts";
import { RecencyMap } from "../collections/recency_map.ts";
import { SourceExemptions } from "./source_exemptions.ts";

/** What a source owes time for. */
export type Offence = "failed_handshake" | "failed_auth" | "handshake_timeout";

/** Options of {@linkcode Penalties}. The model is OpenSSH's `PerSourcePenalties`. */
export interface PenaltiesOptions {
  /** Whether there are penalties at all. @default {true} */
  readonly enabled?: boolean | undefined;
  /**
   * Time that a source owes for a failed handshake or a failed authentication, in milliseconds. A
   * good handshake of the same source pays it off again.
   *
   * @default {5000} guessing and scanning become slow
   */
  readonly failureMs?: number | undefined;
  /**
   * Time that a source owes for a handshake that ran out of time, in milliseconds.
   * @default {10000} it cost a slot
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Time that a source may owe before it is refused, in milliseconds; 0 refuses it from the first offence on.
   *
   * @default {15000} as OpenSSH has it: a mistake or two cost nothing
   */
  readonly graceMs?: number | undefined;
  /**
   * Most time that a source can owe, and so the longest time of a refusal, in milliseconds.
   * @default {600000}
   */
  readonly maxMs?: number | undefined;
  /**
   * Sources that are remembered, of IPv4 and of IPv6 each, the least recent ones forgotten first.
   * The families are kept apart so that the plenty of IPv6 networks cannot push IPv4 addresses out.
   *
   * @default {65536}
   */
  readonly maxSources?: number | undefined;
}

/** How long a source counts as one that also brings good clients, after the last of those, in ms. */
const GOOD_FOR_MS = 3_600_000;

interface Account {
  /** When the debt reaches zero; the debt at another moment is the time until then. */
  paidAtMs: number;
  /** When the last offence was counted. */
  countedAtMs: number;
  /** Whether the source is refused until everything is paid off. */
  isRefused: boolean;
}

/**
 * What sources owe. Each offence adds its time, which passes; once more than `graceMs` is owed, the
 * source is refused until all of it has passed. Good handshakes of the same source pay off, and a
 * source that has brought a good client within the last hour is not refused at all: behind one
 * address (NAT, a balancer) stand many clients, and the failures of one must not lock out the
 * others.
 *
 * Offences of connections that ran side by side are one: what a network outage does to sixteen
 * clients of one office is not sixteen attempts.
 *
 * Time comes in as `nowMs` from a clock that does not go back, such as `performance.now()`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const penalties = new Penalties();
 * for (let second = 0; second < 4; second++) penalties.punish("192.0.2.7", "failed_auth", second * 1000);
 * assertEquals(penalties.remainingMs("192.0.2.7", 4000), 16_000); // 4 times 5 s, less 4 s that passed
 * assertEquals(penalties.remainingMs("192.0.2.7", 20_000), 0);
 * assertEquals(penalties.punish("127.0.0.1", "failed_auth", 0), 0); // see limitLoopback
 * ```
 */
export class Penalties {
  readonly #enabled: boolean;
  readonly #costMs: Readonly<Record<Offence, number>>;
  readonly #graceMs: number;
  readonly #maxMs: number;
  readonly #exemptions: SourceExemptions;
  readonly #ipv4: Family;
  readonly #ipv6: Family;

  /**
   * Checks the options.
   *
   * @param exemptions Sources that owe nothing; loopback when absent
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when an option is out of range
   */
  constructor(
    options: PenaltiesOptions = {},
    exemptions: SourceExemptions = new SourceExemptions(),
  ) {
    const { enabled = true, failureMs = 5_000, timeoutMs = 10_000, maxMs = 600_000 } = options;
    const { graceMs = Math.min(15_000, maxMs), maxSources = 65_536 } = options;
    const action = "Cannot set penalties";
    this.#enabled = checkBoolean(action, "enabled", enabled);
    this.#maxMs = checkDurationMs(action, "maxMs", maxMs);
    this.#graceMs = checkDurationMs(action, "graceMs", graceMs, { minMs: 0, maxMs });
    const failure = checkDurationMs(action, "failureMs", failureMs, { maxMs });
    const timeout = checkDurationMs(action, "timeoutMs", timeoutMs, { maxMs });
    this.#costMs = { failed_handshake: failure, failed_auth: failure, handshake_timeout: timeout };
    checkInteger(action, "maxSources", maxSources, 1, 2 ** 24);
    this.#exemptions = exemptions;
    this.#ipv4 = new Family(maxSources);
    this.#ipv6 = new Family(maxSources);
  }

  /** Sources that owe something, as far as is known. */
  get size(): number {
    return this.#ipv4.accounts.size + this.#ipv6.accounts.size;
  }

  /**
   * Counts an offence.
   *
   * @param sinceMs When the connection was let in: offences of connections that ran side by side count once
   * @returns milliseconds that the source is refused from now on; 0 when it is not
   */
  punish(source: string | null, offence: Offence, nowMs: number, sinceMs: number = nowMs): number {
    if (!this.#enabled || source === null || this.#exemptions.has(source)) return 0;
    const { accounts, maxSources } = this.#family(source);
    const known = accounts.touch(source);
    const account = known ?? { paidAtMs: nowMs, countedAtMs: -Infinity, isRefused: false };
    if (known === undefined) {
      makeRoom(accounts, maxSources);
      accounts.set(source, account);
    }
    if (sinceMs >= account.countedAtMs) {
      const owedMs = Math.max(0, account.paidAtMs - nowMs) + this.#costMs[offence];
      account.isRefused = account.isRefused && account.paidAtMs > nowMs || owedMs > this.#graceMs;
      account.paidAtMs = nowMs + Math.min(this.#maxMs, owedMs);
      account.countedAtMs = nowMs;
    }
    return this.remainingMs(source, nowMs);
  }

  /**
   * Counts a good handshake: it pays off one that failed, and shows that the source brings good
   * clients too.
   */
  credit(source: string | null, nowMs: number): void {
    if (!this.#enabled || source === null || this.#exemptions.has(source)) return;
    const { accounts, good, maxSources } = this.#family(source);
    if (good.get(source) === undefined) makeRoom(good, maxSources);
    good.set(source, nowMs);
    if (accounts.size === 0) return;
    const account = accounts.get(source);
    if (account === undefined) return;
    account.paidAtMs -= this.#costMs.failed_handshake;
    if (account.paidAtMs <= nowMs) accounts.delete(source);
  }

  /** Returns the milliseconds that a source is still refused; 0 when it is not. */
  remainingMs(source: string | null, nowMs: number): number {
    if (source === null) return 0;
    const { accounts, good } = this.#family(source);
    if (accounts.size === 0) return 0;
    const account = accounts.get(source);
    if (account === undefined) return 0;
    if (account.paidAtMs <= nowMs) {
      accounts.delete(source);
      return 0;
    }
    if (!account.isRefused) return 0;
    const goodAtMs = good.get(source);
    return goodAtMs !== undefined && nowMs - goodAtMs < GOOD_FOR_MS ? 0 : account.paidAtMs - nowMs;
  }

  #family(source: string): Family {
    return source.includes(":") ? this.#ipv6 : this.#ipv4;
  }
}

/** The sources of one family of addresses. */
class Family {
  /** Those that owe something. */
  readonly accounts: RecencyMap<string, Account> = new RecencyMap();
  /** When each brought its last good client. */
  readonly good: RecencyMap<string, number> = new RecencyMap();
  /** Most entries of either. */
  readonly maxSources: number;

  constructor(maxSources: number) {
    this.maxSources = maxSources;
  }
}

function makeRoom(map: RecencyMap<string, unknown>, maxSources: number): void {
  if (map.size < maxSources) return;
  const oldest = map.oldest();
  if (oldest !== undefined) map.delete(oldest[0]);
}
