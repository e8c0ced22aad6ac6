// StreamTable: the streams of a session: which are open, how many on whose account, and what a
// change of their states means.
import { LinkedSet } from "../collections/linked_set.ts";
import { ClosedError } from "../errors.ts";
import { streamTimeoutError } from "./engine_types.ts";
import type { FloodGuard } from "./flood.ts";
import { MAX_U32 } from "./header.ts";
import { LateFrames } from "./late_frames.ts";
import type { ResolvedMuxOptions } from "./options.ts";
import { PeerIds } from "./peer_ids.ts";
import { isOpening, isOver, type StreamState } from "./state.ts";
import type { StreamCore } from "./stream_core.ts";
import { StreamDeadlines } from "./stream_deadlines.ts";

/** What a change of state of a stream means for its session. */
export interface StateChange {
  /** A stream of ours was answered or ended: another may be opened. */
  readonly freesOpening: boolean;
  /** The last stream is over. */
  readonly isLast: boolean;
}

/** All that there are: streams change often, and must not make an object each time. */
const CHANGES = {
  none: { freesOpening: false, isLast: false },
  freed: { freesOpening: true, isLast: false },
  last: { freesOpening: false, isLast: true },
  freedLast: { freesOpening: true, isLast: true },
} as const;

/** Keeps the streams of one session. */
export class StreamTable {
  /** Streams that the peer opened and the application did not take yet, oldest first. */
  readonly backlog: LinkedSet<StreamCore> = new LinkedSet();
  /** Ids that the peer uses. */
  readonly peerIds: PeerIds;
  /** Judges frames of streams that are over. */
  readonly late: LateFrames;
  /** No `Map`, for the reason of {@linkcode LinkedSet}. */
  readonly #byId: Record<number, StreamCore> = Object.create(null);
  readonly #flood: FloodGuard;
  readonly #deadlines: StreamDeadlines;
  #nextId: number;
  #live = 0;
  #incoming = 0;
  #opening = 0;

  constructor(options: ResolvedMuxOptions, flood: FloodGuard) {
    const { clock, role, maxWindowBytes } = options;
    this.#flood = flood;
    this.#nextId = role === "client" ? 1 : 2;
    const ids = this.peerIds = new PeerIds(role);
    this.late = new LateFrames({ clock, flood, ids, role, maxWindowBytes });
    this.#deadlines = new StreamDeadlines({
      clock,
      openTimeoutMs: options.openTimeoutMs,
      halfCloseTimeoutMs: options.halfCloseTimeoutMs,
      onLate: (core, what) => core.kill(streamTimeoutError(core, what)),
    });
  }

  /** Streams that are not over. */
  get live(): number {
    return this.#live;
  }

  /** Those of them that the peer opened. */
  get incoming(): number {
    return this.#incoming;
  }

  /** Those of them that this side opened. */
  get own(): number {
    return this.#live - this.#incoming;
  }

  /** Those of them that this side opened and the peer has not answered. */
  get opening(): number {
    return this.#opening;
  }

  /** Id of the next stream of ours; all below were used. */
  get nextId(): number {
    return this.#nextId;
  }

  /** The stream of an id, unless it is over and holds nothing any more. */
  get(id: number): StreamCore | undefined {
    return this.#byId[id];
  }

  /** All streams that are not over, or hold unread bytes. */
  all(): StreamCore[] {
    return Object.values(this.#byId);
  }

  /** Takes the next id of ours. @throws {ClosedError} `ERR_GOING_AWAY` when there is none */
  takeId(): number {
    const id = this.#nextId;
    if (id > MAX_U32) {
      throw new ClosedError(
        "ERR_GOING_AWAY",
        "Cannot open a stream: the session has used up its stream ids",
      );
    }
    this.#nextId += 2;
    return id;
  }

  /** Adds a new stream. */
  add(core: StreamCore): void {
    this.#byId[core.id] = core;
    this.#live += 1;
    if (core.isIncoming) {
      this.#incoming += 1;
      core.backlogPlace = this.backlog.add(core);
    } else {
      this.#opening += 1;
      this.#deadlines.watch(core);
    }
  }

  /** Takes a stream out of the backlog; `false` when it was not there. */
  take({ backlogPlace: place }: StreamCore): boolean {
    return place !== undefined && this.backlog.remove(place);
  }

  /** A stream went from one state to another. */
  stateChanged(core: StreamCore, from: StreamState): StateChange {
    const { state } = core;
    const answered = isOpening(from) && !isOpening(state);
    if (answered) {
      this.#opening -= 1;
      this.#deadlines.unwatch(core);
      if (core.isClosing && !isOver(state)) this.#deadlines.watch(core);
    }
    if (!isOver(state)) return answered ? CHANGES.freed : CHANGES.none;
    this.#live -= 1;
    if (core.isIncoming) this.#incoming -= 1;
    this.#deadlines.unwatch(core);
    // What came for a stream that was never accepted will not be read.
    if (this.take(core)) core.receiver.discard();
    if (state === "reset") this.late.expect(core.id, core.receiver.availableBytes);
    else this.#flood.streamEnded();
    if (core.isIncoming) return this.#live === 0 ? CHANGES.last : CHANGES.none;
    return this.#live === 0 ? CHANGES.freedLast : CHANGES.freed;
  }

  /** The application has closed a stream, which the peer must end in time. */
  closing(core: StreamCore): void {
    if (!isOpening(core.state)) this.#deadlines.watch(core);
  }

  /** A stream is over and holds nothing any more. */
  release(core: StreamCore): void {
    delete this.#byId[core.id];
  }

  /** Stops all deadlines and forgets all streams. */
  stop(): void {
    this.#deadlines.stop();
    for (const core of this.all()) delete this.#byId[core.id];
  }
}
