// Budgets against peers that are busy for the sake of it: resets, pings, empty frames, frames for
// dead streams.
import { TokenBucket } from "../collections/token_bucket.ts";
import { ProtocolError } from "../errors.ts";
import type { Resolved } from "../options/resolved.ts";

/**
 * How much of each kind of noise a peer may make before the session ends with go-away 1. Honest
 * programs stay far below: what they cause, such as cancelled calls, is bounded by the streams and
 * handlers that they may have, and a stream that ends in order fills the budgets up again.
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
    const { maxResets, maxResetsPerSecond, maxPingsPer10s, maxDeadFrames } = limits;
    this.#resets = new TokenBucket({ burst: maxResets, perSecond: maxResetsPerSecond }, now);
    this.#pings = new TokenBucket({ burst: maxPingsPer10s, perSecond: maxPingsPer10s / 10 }, now);
    this.#dead = new TokenBucket({ burst: maxDeadFrames, perSecond: maxDeadFrames / 10 }, now);
  }

  /** The peer reset a stream, or opened one that had to be refused. */
  reset(now: number): void {
    if (!this.#resets.tryTake(1, now)) throw flood("resets of streams");
  }

  /** The peer sent a ping, or an answer that no ping of ours asked for. */
  ping(now: number): void {
    if (!this.#pings.tryTake(1, now)) throw flood("pings");
  }

  /** A frame came for a stream that is gone. */
  deadFrame(now: number): void {
    if (!this.#dead.tryTake(1, now)) throw flood("frames for streams that are gone");
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
    this.#resets.restore(this.#limits.maxResets);
    this.#dead.restore(FRAMES_PER_ENDED_STREAM);
  }

  /** The peer causes answers and reads none of them. */
  unreadAnswers(): never {
    throw flood("answers that the peer does not read");
  }
}

function flood(what: string): ProtocolError {
  return new ProtocolError("ERR_MUX_FLOOD", `Cannot go on with the session: too many ${what}`);
}
