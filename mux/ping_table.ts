// Pings under way, the round trip they measure, and the keepalive that watches the link.
import type { Clock } from "../async/clock.ts";
import { TokenBucket } from "../collections/token_bucket.ts";
import { MAX_U32 } from "./header.ts";

/** A measured round trip older than this is measured again when a caller asks. */
const FRESH_MS = 10_000;

/**
 * Pings that may go at once, and how soon each is followed by another in the long run: 50 in any
 * ten seconds, half of what a peer of ours takes before it ends the session as flooded.
 */
const PINGS_AT_ONCE = 40;
const REFILL_MS = 1000;

/** A ping under way for longer is not shared: a peer that forgot one may answer the next. */
const SHARED_MS = 10_000;

/** What a {@linkcode PingTable} needs from its session. */
export interface PingHooks {
  readonly clock: Clock;
  /** Sends a ping's question. */
  send(value: number): void;
}

/** A caller that waits for a round trip. */
interface Waiter {
  readonly resolve: (ms: number) => void;
  readonly reject: (error: unknown) => void;
}

/** What a caller gets. */
export interface SharedPing {
  /** Resolves with the round trip. */
  readonly answer: Promise<number>;
  /** Ends this wait alone. */
  readonly fail: (error: unknown) => void;
  /** Longest time until the ping goes: 0 when it has gone. */
  readonly waitMs: number;
}

/** A ping that is sent, and who waits for its answer. */
interface PendingPing {
  readonly sentAt: number;
  readonly waiters: Set<Waiter>;
}

/** The pings of one session: few enough, however often it is asked, that no peer takes them for a flood. */
export class PingTable {
  readonly #hooks: PingHooks;
  readonly #budget: TokenBucket;
  readonly #pending = new Map<number, PendingPing>();
  /** Sent last, until its answer comes. */
  #latest: PendingPing | undefined;
  /** Who waits for the next ping, which goes when the budget allows. */
  #queued = new Set<Waiter>();
  #cancelNext: (() => void) | undefined;
  #next = 1;
  #rttMs: number | undefined;
  #measuredAt = -Infinity;
  #measuring = false;

  constructor(hooks: PingHooks) {
    this.#hooks = hooks;
    this.#budget = new TokenBucket(
      { burst: PINGS_AT_ONCE, perSecond: 1000 / REFILL_MS },
      hooks.clock.now(),
    );
  }

  /** Round trip measured last, milliseconds. */
  get lastRttMs(): number | undefined {
    return this.#rttMs;
  }

  /**
   * Measures the milliseconds between a ping and its answer. Calls during a ping share it, unless
   * `fresh` asks for a ping that goes behind everything written so far.
   */
  ping({ fresh = false }: { readonly fresh?: boolean | undefined } = {}): SharedPing {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const waiter = { resolve, reject };
    const waiters = this.#join(fresh);
    waiters.add(waiter);
    const fail = (error: unknown) => {
      waiters.delete(waiter);
      reject(error);
    };
    return { answer: promise, fail, waitMs: waiters === this.#queued ? REFILL_MS : 0 };
  }

  /** An answer came; false when no caller waits for it. */
  onAnswer(value: number): boolean {
    const ping = this.#pending.get(value);
    if (ping === undefined) return false;
    this.#pending.delete(value);
    if (this.#latest === ping) this.#latest = undefined;
    this.#measuredAt = this.#hooks.clock.now();
    this.#rttMs = this.#measuredAt - ping.sentAt;
    for (const waiter of ping.waiters) waiter.resolve(this.#rttMs);
    return true;
  }

  /** The round trip for code that steers by it; sends a ping of its own when the figure is old. */
  freshRttMs(): number | undefined {
    if (!this.#measuring && this.#hooks.clock.now() - this.#measuredAt > FRESH_MS) {
      this.#measuring = true;
      this.ping().answer.catch(() => {}).finally(() => this.#measuring = false);
    }
    return this.#rttMs;
  }

  /** Rejects everything that waits. */
  fail(error: unknown): void {
    this.#cancelNext?.();
    this.#cancelNext = undefined;
    const waiting = [this.#queued, ...[...this.#pending.values()].map(({ waiters }) => waiters)];
    this.#pending.clear();
    this.#latest = undefined;
    this.#queued = new Set();
    for (const waiters of waiting) for (const waiter of waiters) waiter.reject(error);
  }

  /**
   * The callers that the next caller joins; sends a ping for them if none is under way and the
   * budget allows.
   */
  #join(fresh: boolean): Set<Waiter> {
    const nowMs = this.#hooks.clock.now();
    if (!fresh && this.#latest !== undefined && nowMs - this.#latest.sentAt < SHARED_MS) {
      return this.#latest.waiters;
    }
    const waiters = this.#queued;
    if (this.#cancelNext === undefined) this.#sendNext();
    return waiters;
  }

  #sendNext(): void {
    const { clock, send } = this.#hooks;
    if (!this.#budget.tryTake(1, clock.now())) {
      this.#cancelNext = clock.after(REFILL_MS, () => {
        this.#cancelNext = undefined;
        // Who waited for it may have given up.
        if (this.#queued.size > 0) this.#sendNext();
      });
      return;
    }
    // No caller would see an answer to these any more.
    for (const [value, { waiters }] of this.#pending) {
      if (waiters.size === 0) this.#pending.delete(value);
    }
    const value = this.#next;
    this.#next = value === MAX_U32 ? 0 : value + 1;
    this.#latest = { sentAt: clock.now(), waiters: this.#queued };
    this.#queued = new Set();
    this.#pending.set(value, this.#latest);
    send(value);
  }
}
