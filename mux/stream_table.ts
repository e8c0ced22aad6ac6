// The streams of a session: by id, their ids in order, those that are gone, and those with a deadline.
import { ProtocolError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import type { FloodGuard } from "./flood.ts";
import { Flag, type FrameHeader, FrameType } from "./header.ts";
import type { MuxRole } from "./options.ts";
import { isOpening } from "./state.ts";
import type { StreamCore } from "./stream_core.ts";

/** How far behind the highest id of the peer a skipped one may still be used. */
const MAX_SKIPPED_IDS = 1024;
/** Streams that this side reset whose late frames are still told from noise. */
const MAX_GRAVES = 8192;
/** Frames without data that may come for one of them: window updates that crossed the reset. */
const FRAMES_AFTER_RESET = 64;

/**
 * Ids that the peer may open: of its parity, each once. They come upward, but not strictly: programs whose threads open
 * streams at once send them out of order, so an id that was skipped may still come, unless it is far behind.
 */
export class PeerIds {
  readonly #parity: number;
  readonly #skipped = new Set<number>();
  #highest: number;

  /** `role` is our own. */
  constructor(role: MuxRole) {
    this.#parity = role === "client" ? 0 : 1;
    this.#highest = role === "client" ? 0 : -1;
  }

  /** True when the id was opened some time. */
  wasUsed(id: number): boolean {
    return id % 2 === this.#parity && id <= this.#highest && !this.#skipped.has(id);
  }

  /**
   * Takes a new id.
   *
   * @throws {ProtocolError} `ERR_MUX_STREAM_ID` for the wrong parity and for an id used before or passed over
   */
  take(id: number): void {
    if (id % 2 !== this.#parity) throw badId(id, "the parity is ours");
    if (id > this.#highest) {
      this.#skip(id);
      this.#highest = id;
    } else if (!this.#skipped.delete(id)) {
      throw badId(id, `the highest was ${this.#highest}`);
    }
  }

  #skip(id: number): void {
    for (let skipped = Math.max(this.#highest + 2, id - 2 * MAX_SKIPPED_IDS); skipped < id; skipped += 2) {
      this.#skipped.add(skipped);
    }
    for (const old of this.#skipped) {
      if (this.#skipped.size <= MAX_SKIPPED_IDS) break;
      this.#skipped.delete(old);
    }
  }
}

function badId(id: number, why: string): ProtocolError {
  return new ProtocolError("ERR_MUX_STREAM_ID", `Cannot take stream ${id}: a new one: ${why}`);
}

/**
 * Streams that ended by RST on this side, with what the peer may have sent before it knew. Frames within that are no
 * noise. Bounded: the oldest go first.
 */
export class Graves {
  readonly #entries = new Map<number, { bytesLeft: number; framesLeft: number }>();

  /** Remembers a stream on which the peer may still send `bytesLeft`. */
  add(id: number, bytesLeft: number): void {
    this.#entries.set(id, { bytesLeft, framesLeft: FRAMES_AFTER_RESET });
    if (this.#entries.size > MAX_GRAVES) {
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

  /** Counts a frame that came with `bytes` of data; false when it is more than what can have been on its way. */
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
  readonly #graves = new Graves();
  readonly #ownParity: number;

  constructor(parts: LateFramesParts) {
    this.#parts = parts;
    this.#ownParity = parts.role === "client" ? 1 : 0;
  }

  /** A stream was reset on this side, and the peer may still send `bytesLeft` on it. */
  expect(id: number, bytesLeft: number): void {
    this.#graves.add(id, bytesLeft);
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
    const left = this.#graves.bytesLeft(streamId);
    if (data > (left ?? maxWindowBytes)) {
      const text = `Cannot take a data frame of ${data} bytes on stream ${streamId}: it is over`;
      throw new ProtocolError("ERR_MUX_WINDOW", text);
    }
    if (flags & Flag.syn) return;
    if (left === undefined || !this.#graves.take(streamId, data)) flood.deadFrame(clock.now());
    if (flags & (Flag.fin | Flag.rst)) this.#graves.forget(streamId);
  }
}

/** Options of {@linkcode Deadlines}. */
export interface DeadlineOptions {
  readonly clock: Clock;
  readonly openTimeoutMs: number;
  readonly halfCloseTimeoutMs: number;
  /** The time of a stream is up. */
  readonly onLate: (core: StreamCore, what: "open" | "halfClose") => void;
}

/**
 * Streams that the peer has not answered yet, and streams that the application has closed and the peer has not ended.
 * One timer for all.
 */
export class Deadlines {
  readonly #options: DeadlineOptions;
  readonly #entries = new Map<StreamCore, { readonly at: number; readonly moved: number }>();
  readonly #sweepMs: number;
  #cancel: (() => void) | undefined;

  constructor(options: DeadlineOptions) {
    this.#options = options;
    this.#sweepMs = Math.max(1, Math.min(5000, options.openTimeoutMs / 10, options.halfCloseTimeoutMs / 10));
  }

  /** Begins to watch a stream, or begins anew. */
  watch(core: StreamCore): void {
    const { clock, openTimeoutMs, halfCloseTimeoutMs } = this.#options;
    const timeoutMs = isOpening(core.state) ? openTimeoutMs : halfCloseTimeoutMs;
    this.#entries.set(core, { at: clock.now() + timeoutMs, moved: movedBytes(core) });
    this.#cancel ??= clock.after(this.#sweepMs, () => this.#sweep());
  }

  /** Ends watching a stream. */
  unwatch(core: StreamCore): void {
    this.#entries.delete(core);
  }

  /** Ends it all. */
  stop(): void {
    this.#cancel?.();
    this.#entries.clear();
  }

  #sweep(): void {
    this.#cancel = undefined;
    const now = this.#options.clock.now();
    for (const [core, entry] of this.#entries) {
      if (entry.at > now) continue;
      const opening = isOpening(core.state);
      if (!opening && movedBytes(core) !== entry.moved) this.watch(core);
      else this.#options.onLate(core, opening ? "open" : "halfClose");
    }
    if (this.#entries.size > 0) {
      this.#cancel ??= this.#options.clock.after(this.#sweepMs, () => this.#sweep());
    }
  }
}

/** Bytes that went either way: while they move, the peer does its part. */
function movedBytes(core: StreamCore): number {
  return core.receiver.receivedBytes + core.sender.sentBytes;
}
