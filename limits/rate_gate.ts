// RateGate: lets the messages of one connection through one by one, as its own limits and those
// that it shares with others allow.
import type { TokenBucket } from "../collections/token_bucket.ts";

/** Bytes that all gates of a server together may borrow; see {@linkcode ByteLoan}. */
const MAX_BORROWED_BYTES = 16 * 2 ** 20;

/** Shortest wait, in ms: 0 says that the message has passed. */
const LEAST_WAIT_MS = 0.001;

/** What a bucket counts. */
export type RateUnit = "messages" | "bytes";

/** A bucket, and what it counts. */
export interface MeteredBucket {
  readonly unit: RateUnit;
  readonly bucket: TokenBucket;
}

/**
 * One set of limits: of a connection, of a source, or of a whole server. Gates that share it take
 * turns: each lets one message through and then joins the queue again, so that a flood of one
 * delays the others by one message each time.
 */
export class RateStage {
  readonly #buckets: readonly MeteredBucket[];
  /** Gates that wait, in the order in which they came; the first one alone looks at the buckets. */
  readonly #queue = new Set<RateGate>();

  constructor(buckets: readonly MeteredBucket[]) {
    this.#buckets = buckets;
  }

  /**
   * Returns the milliseconds until a message of `bytes` may pass, 0 for now. `Infinity` while
   * others are first: its gate's {@linkcode RateGate.onTurn} is called then. Nothing is counted.
   * The gate keeps its place until {@linkcode count} or {@linkcode leave}.
   */
  admit(gate: RateGate, bytes: number, nowMs: number): number {
    this.#queue.add(gate);
    if (this.#first !== gate) return Infinity;
    let waitMs = 0;
    for (const { unit, bucket } of this.#buckets) {
      waitMs = Math.max(waitMs, bucket.waitMs(unit === "messages" ? 1 : bytes, nowMs));
    }
    return waitMs;
  }

  /** Counts a message that was admitted, and calls the next gate. */
  count(gate: RateGate, bytes: number): void {
    for (const { unit, bucket } of this.#buckets) bucket.spend(unit === "messages" ? 1 : bytes);
    this.leave(gate);
  }

  /** Gives up the place of a gate. */
  leave(gate: RateGate): void {
    const wasFirst = this.#first === gate;
    if (this.#queue.delete(gate) && wasFirst) this.#first?.onTurn();
  }

  /** Returns the milliseconds in which so much would pass if no other gate wanted anything. */
  restMs(messages: number, bytes: number, nowMs: number): number {
    return this.#buckets.reduce((longest, { unit, bucket }) => {
      return Math.max(longest, bucket.drainMs(unit === "messages" ? messages : bytes, nowMs));
    }, 0);
  }

  get #first(): RateGate | undefined {
    return this.#queue.values().next().value;
  }
}

/** Bytes that connections may hold beyond their own bound, counted for all of them together. */
export class ByteLoan {
  #left = MAX_BORROWED_BYTES;

  /** Lends bytes, or returns `false` when too few are left. */
  borrow(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Takes borrowed bytes back. */
  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/**
 * The limits that the messages of one connection pass: its own, then those of its source, then
 * those of the server. A message is counted when it passes, in all of them at once: what never
 * passes is no debt.
 *
 * Made by `RateLimits.gate`. How to drive it: {@linkcode ask} for the next message. After a wait,
 * or when {@linkcode onTurn} is called, ask for the same message again; {@linkcode leave} when that
 * message will not be handed out.
 */
export class RateGate {
  /** Called when no other gate is before this one any more: ask again, though not from within the call. */
  onTurn: () => void = () => {};
  readonly #loan: ByteLoan;
  readonly #stages: readonly RateStage[];
  /** The stages before this one have admitted the message. */
  #at = 0;
  /** When the stage that refused the message said that it would admit it. */
  #dueMs = Infinity;

  /** Joins limits into one gate, the narrowest first. */
  constructor(stages: readonly RateStage[], loan: ByteLoan) {
    this.#stages = stages;
    this.#loan = loan;
  }

  /**
   * Asks whether a message may pass now. Returns 0 if so, and it is counted; else the milliseconds
   * after which to ask again, `Infinity` to wait for {@linkcode onTurn}.
   */
  ask(bytes: number, nowMs: number): number {
    // A timer that was late takes nothing away: the rate is kept over many messages.
    let atMs = Math.min(nowMs, this.#dueMs);
    for (; this.#at < this.#stages.length; this.#at++) {
      const waitMs = this.#stages[this.#at]!.admit(this, bytes, atMs);
      if (waitMs > 0) {
        this.#dueMs = atMs + waitMs;
        return Math.max(this.#dueMs - nowMs, LEAST_WAIT_MS);
      }
      atMs = nowMs;
    }
    this.#at = 0;
    this.#dueMs = Infinity;
    for (const stage of this.#stages) stage.count(this, bytes);
    return 0;
  }

  /** The message that was asked for will not be handed out: others go first. */
  leave(): void {
    this.#at = 0;
    this.#dueMs = Infinity;
    for (const stage of this.#stages) stage.leave(this);
  }

  /**
   * Lends bytes to read ahead, to see whether the peer of a long backlog is still there; `false`
   * when none are left.
   */
  borrow(bytes: number): boolean {
    return this.#loan.borrow(bytes);
  }

  /** Takes borrowed bytes back. */
  giveBack(bytes: number): void {
    this.#loan.giveBack(bytes);
  }

  /** Returns the milliseconds in which so much would pass if no other connection wanted anything. */
  restMs(messages: number, bytes: number, nowMs: number): number {
    return this.#stages.reduce(
      (longest, stage) => Math.max(longest, stage.restMs(messages, bytes, nowMs)),
      0,
    );
  }
}
