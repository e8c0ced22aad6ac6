// Budgets against peers that are busy for the sake of it: resets, pings, empty frames, frames for dead streams.
import { ProtocolError } from "../errors.ts";

/** How much of each kind of noise a peer may make before the session ends with go-away 1. */
export interface FloodLimits {
  /** Streams reset by the peer, or refused to it, at once. @default {100} what HTTP/2 servers settled on after rapid reset */
  maxResets?: number;
  /** Resets per second on top, in the long run. @default {50} */
  maxResetsPerSecond?: number;
  /** Pings within ten seconds. @default {100} a keepalive needs one */
  maxPingsPer10s?: number;
  /** Frames in a row that neither carry nor change anything. @default {100} */
  maxEmptyFrames?: number;
  /** Frames for streams that are gone, at once; a tenth of it per second on top. @default {1000} */
  maxDeadFrames?: number;
}

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
}

/** Counts the noise of one peer. Every method throws {@linkcode ProtocolError} `ERR_MUX_FLOOD` over the limit. */
export class FloodGuard {
  readonly #resets: TokenBucket;
  readonly #pings: TokenBucket;
  readonly #dead: TokenBucket;
  readonly #maxEmpty: number;
  #empty = 0;

  /** Makes a guard with nothing counted yet; `now` in milliseconds. */
  constructor(limits: Required<FloodLimits>, now: number) {
    this.#resets = new TokenBucket(limits.maxResets, limits.maxResetsPerSecond, now);
    this.#pings = new TokenBucket(limits.maxPingsPer10s, limits.maxPingsPer10s / 10, now);
    this.#dead = new TokenBucket(limits.maxDeadFrames, limits.maxDeadFrames / 10, now);
    this.#maxEmpty = limits.maxEmptyFrames;
  }

  /** The peer reset a stream, or opened one that had to be refused. */
  reset(now: number): void {
    if (!this.#resets.take(now)) throw flood("resets of streams");
  }

  /** The peer sent a ping or an answer that nobody waits for. */
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
    if (this.#empty > this.#maxEmpty) throw flood("empty frames");
  }

  /** A frame came that has a purpose. */
  usefulFrame(): void {
    this.#empty = 0;
  }
}

function flood(what: string): ProtocolError {
  return new ProtocolError("ERR_MUX_FLOOD", `Cannot go on with the session: too many ${what}`);
}
