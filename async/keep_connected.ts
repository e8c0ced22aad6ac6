// keepConnected(): the loop that dials, uses a link until it ends, waits, and dials again.
import type { Backoff } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { pause } from "./pause.ts";

/** How a link ended. */
export interface LinkEnd {
  /** Why it ended; `null` when the peer ended it in order. */
  readonly error: unknown;
  /**
   * Whether it proved to be of use: then delays start over, however short it was. See
   * {@linkcode Backoff.used}.
   */
  readonly wasUsed: boolean;
}

/** An attempt that failed, or a link that was lost. */
export interface ConnectFailure {
  /** Whether no link came up, or one that was up has ended. */
  readonly phase: "connect" | "link";
  /** Whether there has been no link so far: then the options may be what is wrong. */
  readonly isFirst: boolean;
  /** Why it failed; `null` when the peer ended the link in order. */
  readonly error: unknown;
}

/** What follows from a {@linkcode ConnectFailure}. */
export interface Verdict {
  /** The error to announce, and to give up with. */
  readonly error: unknown;
  /** Whether no repetition heals it: then there is no further attempt. */
  readonly isPermanent: boolean;
  /**
   * Delay before the next attempt in ms, in place of that of the backoff, which does not count the
   * failure then.
   */
  readonly delayMs?: number | undefined;
}

/** An attempt that comes after `delayMs`. */
export interface Retry {
  /** Number of the attempt that comes; see `ReconnectInfo`. */
  readonly attempt: number;
  /** Delay before it, in ms. */
  readonly delayMs: number;
  /** The error of the {@linkcode Verdict}. */
  readonly error: unknown;
}

/** Why the loop ended. */
export type LoopEnd =
  /** The signal aborted. `error` is the last failure, if there was one. */
  | { readonly kind: "aborted"; readonly error: unknown }
  /**
   * There is no backoff, so the first failure ended it. `error` is as it came: `null` after an
   * orderly end.
   */
  | { readonly kind: "notRetried"; readonly error: unknown }
  /** The failure is permanent, or the attempts are used up. */
  | { readonly kind: "gaveUp"; readonly error: unknown }
  /** The policy of the caller threw `mistake`, or returned what is no delay. */
  | { readonly kind: "policyFailed"; readonly error: unknown; readonly mistake: unknown };

/** What {@linkcode keepConnected} connects, and how. No function may throw, except for `connect`. */
export interface KeepConnectedOptions<Link> {
  /** Ends the loop: a dial that is under way, or the pause before one. It does not end a link: see `use`. */
  readonly signal: AbortSignal;
  /** Delays once there was a link; `null` when a link that is lost is not replaced. */
  readonly backoff: Backoff | null;
  /**
   * Delays before the first link, where those differ: a caller may wait for the first link for a
   * time, and want no other bound.
   *
   * @default {backoff}
   */
  readonly firstBackoff?: Backoff | null | undefined;
  /**
   * Makes a link that counts as one, such as after its trial (decision 0024); throws why it could
   * not. Rejects soon after an abort.
   */
  readonly connect: (signal: AbortSignal) => Promise<Link>;
  /** Closes a link that came up as the signal aborted. */
  readonly discard: (link: Link) => unknown;
  /**
   * Uses a link until it ends. Called in the same moment in which the link is known to be wanted,
   * so that what a close of the caller must end is registered before its first `await`.
   */
  readonly use: (link: Link) => Promise<LinkEnd>;
  /** Judges a failure. */
  readonly classify: (failure: ConnectFailure) => Verdict;
  /** Announces each further attempt, before the pause that precedes it. */
  readonly onRetry: (retry: Retry) => void;
  /** Where the time comes from. @default {the clock of the machine} */
  readonly clock?: Clock | undefined;
  /** Numbers from 0 to below 1, which spread the delays. @default {Math.random} */
  readonly random?: (() => number) | undefined;
  /**
   * Whether a link starts the count of failed attempts over as soon as it is made. `false` where a
   * role is made, such as that of the process that listens: then `use` calls
   * {@linkcode Backoff.connected} when there is a link.
   *
   * @default {true}
   */
  readonly countsLinks?: boolean | undefined;
}

/**
 * Keeps a link up: one attempt at a time, until `signal` aborts or there is no further attempt.
 * Never rejects. It knows nothing of what is connected: a client, a wire and an IPC client differ
 * in the functions that they pass.
 *
 * ```text
 *   connect ──link──▶ use ──end──▶ classify ──▶ delay ──▶ onRetry ──▶ pause ──▶ connect …
 *      └──────────error────────────────┘ └─▶ permanent    └─▶ null: no attempts left
 * ```
 *
 * The count of failed attempts starts over with each link, delays start over after a link that
 * proved itself: see {@linkcode Backoff}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Backoff } from "./backoff.ts";
 *
 * let dials = 0;
 * const end = await keepConnected({
 *   signal: new AbortController().signal,
 *   backoff: new Backoff({ minDelayMs: 1, maxDelayMs: 1, maxAttempts: 2 }),
 *   connect: () => Promise.reject(`refused ${++dials} times`),
 *   discard: () => {},
 *   use: () => Promise.resolve({ error: null, wasUsed: false }),
 *   classify: ({ error }) => ({ error, isPermanent: false }),
 *   onRetry: () => {},
 * });
 * assertEquals([end.kind, end.error], ["gaveUp", "refused 3 times"]);
 * ```
 */
export function keepConnected<Link>(options: KeepConnectedOptions<Link>): Promise<LoopEnd> {
  return new ConnectLoop(options).run();
}

class ConnectLoop<Link> {
  readonly #options: KeepConnectedOptions<Link>;
  readonly #clock: Clock;
  /** Whether there has been no link so far. */
  #isFirst = true;

  constructor(options: KeepConnectedOptions<Link>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async run(): Promise<LoopEnd> {
    const { signal, onRetry } = this.#options;
    this.#backoff?.started(this.#clock.now());
    let error: unknown;
    while (!signal.aborted) {
      const failure = await this.#runLink();
      error = failure.error;
      if (signal.aborted) break;
      const next = this.#nextDelay(failure);
      // The caller's policy may have ended the loop.
      if (signal.aborted) break;
      if ("kind" in next) return next;
      onRetry(next);
      await pause(next.delayMs, signal, { clock: this.#clock });
    }
    return { kind: "aborted", error };
  }

  get #backoff(): Backoff | null {
    const { backoff, firstBackoff = backoff } = this.#options;
    return this.#isFirst ? firstBackoff : backoff;
  }

  /** Connects, and uses the link until it ends. Returns why there is none. Never rejects. */
  async #runLink(): Promise<ConnectFailure> {
    const { signal, backoff, countsLinks = true, connect, discard, use } = this.#options;
    const isFirst = this.#isFirst;
    let link: Link;
    try {
      link = await connect(signal);
    } catch (error) {
      return { phase: "connect", isFirst, error };
    }
    if (signal.aborted) {
      await discard(link);
      return { phase: "connect", isFirst, error: signal.reason };
    }
    this.#isFirst = false;
    if (countsLinks) backoff?.connected(this.#clock.now());
    const { error, wasUsed } = await use(link);
    if (wasUsed) backoff?.used();
    return { phase: "link", isFirst: false, error };
  }

  /** Returns when the next attempt comes, or why there is none. */
  #nextDelay(failure: ConnectFailure): Retry | LoopEnd {
    const backoff = this.#backoff;
    if (backoff === null) return { kind: "notRetried", error: failure.error };
    const { classify, random = Math.random } = this.#options;
    const { error, isPermanent, delayMs } = classify(failure);
    if (isPermanent) return { kind: "gaveUp", error };
    if (delayMs !== undefined) return { attempt: backoff.attempts, delayMs, error };
    try {
      const usualMs = backoff.failed(error, this.#clock.now(), random());
      if (usualMs === null) return { kind: "gaveUp", error };
      return { attempt: backoff.attempts, delayMs: usualMs, error };
    } catch (mistake) {
      return { kind: "policyFailed", error, mistake };
    }
  }
}
