// Budgets against peers that are busy for the sake of it: resets, pings, empty frames, frames for dead streams.
import { ProtocolError } from "../errors.ts";
import type { Resolved } from "../options/resolved.ts";

/**
 * How much of each kind of noise a peer may make before the session ends with go-away 1. Honest programs stay far
 * below: what they cause, such as cancelled calls, is bounded by the streams and handlers that they may have, and a
 * stream that ends in order fills the budgets up again.
 */
export interface FloodLimits {
  /**
   * Streams reset by the peer, or refused to it, at once.
   *
   * @default {10_000} a caller that cancels a thousand calls a second for ten seconds
   */
  maxResets?: number | undefined;
  /** Resets per second on top, in the long run. @default {1000} */
  maxResetsPerSecond?: number | undefined;
  /** Pings within ten seconds. @default {100} a keepalive needs one */
  maxPingsPer10s?: number | undefined;
  /** Frames in a row that neither carry nor change anything. @default {100} */
  maxEmptyFrames?: number | undefined;
  /** Frames for streams that are gone, at once; a tenth of it per second on top. @default {1000} */
  maxDeadFrames?: number | undefined;
}

/** Frames that may come for a stream after its end without counting: window updates for what it was sent. */
const FRAMES_PER_ENDED_STREAM = 4;

/** Tokens that come back with time. Over any stretch, it gives `capacity` and what comes back in that time. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #last: number;

  /** Makes a full bucket of `capacity` that gets `perSecond` tokens back; `now` in milliseconds. */
  constructor(capacity: number, perSecond: number, now: number) {
    this.#capacity = capacity;
    this.#perMs = perSecond / 1000;
    this.#tokens = capacity;
    this.#last = now;
  }

  /** Takes one token; `false` when there is none. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#capacity, this.#tokens + Math.max(0, now - this.#last) * this.#perMs);
    this.#last = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Puts tokens back, as far as they fit. */
  give(count: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + count);
  }
}

/** Counts the noise of one peer. Methods throw {@linkcode ProtocolError} `ERR_MUX_FLOOD` over the limit. */
export class FloodGuard {
  readonly #resets: TokenBucket;
  readonly #pings: TokenBucket;
  readonly #dead: TokenBucket;
  readonly #limits: Resolved<FloodLimits>;
  #empty = 0;

  /** Makes a guard with nothing counted yet; `now` in milliseconds. */
  constructor(limits: Resolved<FloodLimits>, now: number) {
    this.#limits = limits;
    this.#resets = new TokenBucket(limits.maxResets, limits.maxResetsPerSecond, now);
    this.#pings = new TokenBucket(limits.maxPingsPer10s, limits.maxPingsPer10s / 10, now);
    this.#dead = new TokenBucket(limits.maxDeadFrames, limits.maxDeadFrames / 10, now);
  }

  /** The peer reset a stream, or opened one that had to be refused. */
  reset(now: number): void {
    if (!this.#resets.take(now)) throw flood("resets of streams");
  }

  /** The peer sent a ping, or an answer that no ping of ours asked for. */
  ping(now: number): void {
    if (!this.#pings.take(now)) throw flood("pings");
  }

  /** A frame came for a stream that is gone. */
  deadFrame(now: number): void {
    if (!this.#dead.take(now)) throw flood("frames for streams that are gone");
  }

  /** A frame came that neither carries nor changes anything. */
  emptyFrame(): void {
    this.#empty += 1;
    if (this.#empty > this.#limits.maxEmptyFrames) throw flood("empty frames");
  }

  /** A frame came that has a purpose. */
  usefulFrame(): void {
    this.#empty = 0;
  }

  /** A stream ended in order: the peer does work, and what follows the end of a stream is no noise. */
  streamEnded(): void {
    this.#resets.give(this.#limits.maxResets);
    this.#dead.give(FRAMES_PER_ENDED_STREAM);
  }

  /** The peer causes answers and reads none of them. */
  unreadAnswers(): never {
    throw flood("answers that the peer does not read");
  }
}

function flood(what: string): ProtocolError {
  return new ProtocolError("ERR_MUX_FLOOD", `Cannot go on with the session: too many ${what}`);
}
