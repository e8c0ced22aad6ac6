// LateFrames: judges frames that come for a stream after its end.
import { ProtocolError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import type { FloodGuard } from "./flood.ts";
import { Flag, type FrameHeader, FrameType } from "./header.ts";
import type { MuxRole } from "./options.ts";
import type { PeerIds } from "./peer_ids.ts";

/** Streams that this side reset whose late frames are still told from noise. */
const MAX_RECENTLY_RESET = 8192;
/** Frames without data that may come for one of them: window updates that crossed the reset. */
const FRAMES_AFTER_RESET = 64;

/**
 * Streams that ended by RST on this side, with what the peer may have sent before it knew. Frames
 * within that are no noise. Bounded: the oldest go first.
 */
export class RecentlyReset {
  readonly #entries = new Map<number, { bytesLeft: number; framesLeft: number }>();

  /** Remembers a stream on which the peer may still send `bytesLeft`. */
  add(id: number, bytesLeft: number): void {
    this.#entries.set(id, { bytesLeft, framesLeft: FRAMES_AFTER_RESET });
    if (this.#entries.size > MAX_RECENTLY_RESET) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }

  /** Bytes that may still come; `undefined` when the stream is not remembered. */
  bytesLeft(id: number): number | undefined {
    return this.#entries.get(id)?.bytesLeft;
  }

  /**
   * Counts a frame that came with `bytes` of data; false when it is more than what can have been on
   * its way.
   */
  take(id: number, bytes: number): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    entry.bytesLeft -= bytes;
    if (bytes === 0) entry.framesLeft -= 1;
    return entry.framesLeft >= 0;
  }

  /** The peer knows by now. */
  forget(id: number): void {
    this.#entries.delete(id);
  }
}

/** What {@linkcode LateFrames} works with. */
export interface LateFramesParts {
  readonly clock: Clock;
  readonly flood: FloodGuard;
  readonly ids: PeerIds;
  /** Our own role. */
  readonly role: MuxRole;
  readonly maxWindowBytes: number;
}

/** Judges frames of streams that are over: what crossed an end on the wire is no noise, and no offence. */
export class LateFrames {
  readonly #parts: LateFramesParts;
  readonly #recentlyReset = new RecentlyReset();
  readonly #ownParity: number;

  constructor(parts: LateFramesParts) {
    this.#parts = parts;
    this.#ownParity = parts.role === "client" ? 1 : 0;
  }

  /** A stream was reset on this side, and the peer may still send `bytesLeft` on it. */
  expect(id: number, bytesLeft: number): void {
    this.#recentlyReset.add(id, bytesLeft);
  }

  /**
   * Judges a frame; streams of our own have been opened below `nextId`.
   *
   * @throws {ProtocolError} for a stream that never was, more data than its window, or too many frames
   */
  judge({ type, flags, streamId, length }: FrameHeader, nextId: number): void {
    const { ids, flood, clock, maxWindowBytes } = this.#parts;
    const own = streamId % 2 === this.#ownParity;
    if (own ? streamId >= nextId : !ids.wasUsed(streamId)) {
      throw new ProtocolError(
        "ERR_MUX_STREAM_ID",
        `Cannot take a frame for stream ${streamId}: it was never opened`,
      );
    }
    const data = type === FrameType.data ? length : 0;
    const left = this.#recentlyReset.bytesLeft(streamId);
    if (data > (left ?? maxWindowBytes)) {
      const text = `Cannot take a data frame of ${data} bytes on stream ${streamId}: it is over`;
      throw new ProtocolError("ERR_MUX_WINDOW", text);
    }
    if (flags & Flag.syn) return;
    if (left === undefined || !this.#recentlyReset.take(streamId, data)) {
      flood.deadFrame(clock.now());
    }
    if (flags & (Flag.fin | Flag.rst)) this.#recentlyReset.forget(streamId);
  }
}
