// One stream as its session sees it: state, both halves, and what frames do to them.
import { ClosedError, LimitError, ProtocolError, RemoteError } from "../errors.ts";
import type { ParleyError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import { watchUnread } from "../async/unread.ts";
import type { Place } from "../collections/linked_set.ts";
import { Flag, FrameType, MAX_U32 } from "./header.ts";
import type { SessionMemory } from "./memory.ts";
import { ReceiveSide } from "./receive_side.ts";
import { SendQueue } from "./send_queue.ts";
import {
  isOpening,
  isOver,
  isReadOver,
  isWriteOver,
  nextState,
  type StreamEvent,
  type StreamState,
} from "./state.ts";
import { INITIAL_WINDOW_BYTES } from "./credit_window.ts";
import type { SessionTerms } from "./terms.ts";
import type { FrameWriter } from "./writer.ts";

/** Time that a peer which waits for credit, and may still be reading, gets before RST ends the wait. */
const LINGER_MS = 1000;

/** Length of a RST frame that says, between sides that agreed on terms, that the handler failed. */
const HANDLER_FAILED = 1;

/** What a stream needs from its session. */
export interface StreamHost {
  readonly clock: Clock;
  readonly memory: SessionMemory;
  readonly writer: FrameWriter;
  readonly maxWindowBytes: number;
  readonly terms: SessionTerms;
  /** Whether the peer went away: streams that it refuses were on their way to it. */
  readonly isPeerGoing: boolean;
  /** Whether a RST before any answer means that the peer takes no more streams. */
  readonly refusesByReset: boolean;
  /** Round trip of the session, milliseconds; asking for it keeps it fresh. */
  rttMs(): number | undefined;
  /** The stream went from one state to another. */
  onStateChange(core: StreamCore, from: StreamState): void;
  /** The application no longer reads or writes: the peer must bring the stream to its end in time. */
  onClosing(core: StreamCore): void;
  /** The peer refused a stream of ours. */
  onRefused(): void;
  /** The stream is over and holds nothing any more. */
  onReleased(core: StreamCore): void;
}

/** The inner side of a stream. */
export class StreamCore {
  readonly id: number;
  /** True when the peer opened it. */
  readonly isIncoming: boolean;
  readonly sender: SendQueue;
  readonly receiver: ReceiveSide;
  readonly #host: StreamHost;
  /** What the application holds of it, while it is not over. */
  handle: object | undefined;
  /** The table's own: its place in the backlog, and until when the peer must do what about it. */
  backlogPlace: Place<StreamCore> | undefined;
  duePlace: Place<StreamCore> | undefined;
  dueMs = 0;
  dueBytes = 0;
  #state: StreamState;
  #ended: ParleyError | undefined;
  #closed: PromiseWithResolvers<ParleyError | undefined> | undefined;
  /** Bytes that the application left unread when its handler returned; `undefined` before that. */
  #retiredUnread: number | undefined;
  #isClosing = false;
  #cancelLinger: (() => void) | undefined;
  #hasLingered = false;
  #aborting: AbortController | undefined;

  /** The first receive window must be reserved by then. */
  constructor(id: number, isIncoming: boolean, host: StreamHost) {
    this.id = id;
    this.isIncoming = isIncoming;
    this.#host = host;
    this.#state = isIncoming ? "offered" : "opening";
    this.sender = new SendQueue(id, host.terms.sendWindowBytes, {
      writer: host.writer,
      clock: host.clock,
      hooks: { sendFin: () => this.#sendFin(), onBroken: (reason) => this.reset(reason) },
    });
    this.receiver = new ReceiveSide(host.maxWindowBytes, host.terms.receiveWindowBytes, {
      clock: host.clock,
      memory: host.memory,
      rttMs: () => host.rttMs(),
      onCredit: (length) => this.#frame(0, length),
      onDrained: () => this.#releaseIfEmpty(),
    });
  }

  /** True once the application neither reads nor writes any more. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Where it stands. */
  get state(): StreamState {
    return this.#state;
  }

  /** Resolves at the end: with nothing after both FINs, else with what ended it. */
  get closed(): Promise<ParleyError | undefined> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers();
      if (isOver(this.#state)) this.#closed.resolve(this.#ended);
    }
    return this.#closed.promise;
  }

  /** Fires when the stream ends other than in order. Made only on demand. */
  get signal(): AbortSignal {
    if (this.#aborting === undefined) {
      this.#aborting = new AbortController();
      if (isOver(this.#state) && this.#ended !== undefined) this.#aborting.abort(this.#ended);
    }
    return this.#aborting.signal;
  }

  /** Sends SYN. */
  open(): void {
    this.#frame(Flag.syn, this.#topUp());
  }

  /** The application takes it: sends ACK. */
  accept(): void {
    this.#move("accept");
    this.#frame(Flag.ack, this.#topUp());
  }

  /** The sides agreed on initial windows after it was offered and before it was taken. */
  rebase(sendWindowBytes: number, receiveWindowBytes: number): void {
    this.sender.rebase(INITIAL_WINDOW_BYTES, sendWindowBytes);
    this.receiver.rebase(receiveWindowBytes);
  }

  /** A frame came; flags are judged in the order SYN (by the session), ACK, data or window, FIN, RST. */
  onFrame(type: number, flags: number, length: number): void {
    if (flags & Flag.ack) this.#move("ack");
    if (type === FrameType.data) this.#onData(length);
    else if (length > 0 && !(flags & Flag.rst) && !isWriteOver(this.#state)) {
      this.sender.grant(length);
    }
  }

  /** The body of the frame is through; ends come after it. `length` is that of a frame without a body. */
  onFlags(flags: number, length: number): void {
    if (this.#host.terms.hasAgreed && (flags & (Flag.fin | Flag.rst)) === (Flag.fin | Flag.rst)) {
      return this.#onCountedEnd(length);
    }
    if (flags & Flag.fin) {
      this.#move("receiveFin");
      this.receiver.end();
      this.#releaseIfEmpty();
    }
    if (flags & Flag.rst) this.#onReset(length);
  }

  /** Takes a part of a body; true when it keeps the bytes or has handed them out. */
  onBody(bytes: Uint8Array): boolean {
    const isKept = this.receiver.push(bytes);
    this.#refuseUnwanted();
    return isKept;
  }

  /** Puts bytes back that were read last; `handle` is what the application holds of the stream. */
  unread(bytes: Uint8Array, handle: object): void {
    this.receiver.unread(bytes);
    if (isOver(this.#state) && this.receiver.bufferedBytes > 0) watchUnread(this.receiver, handle);
  }

  /** Ends it with RST; `reason` becomes the cause of what waiting calls reject with. */
  reset(reason?: unknown, failed = false): void {
    if (isOver(this.#state)) {
      // Nothing left to say to the peer, but unread bytes are dropped.
      this.receiver.discard();
      return;
    }
    const text = `Cannot go on with stream ${this.id}: it was reset on this side`;
    const error = new ClosedError("ERR_RESET", text, {
      cause: reason,
      unsentBytes: this.sender.pendingBytes,
    });
    this.#endWith(error, {
      drop: true,
      tell: failed && this.#host.terms.hasAgreed ? HANDLER_FAILED : 0,
    });
  }

  /** Ends it with RST and a given error. */
  kill(error: ParleyError): void {
    if (!isOver(this.#state)) this.#endWith(error, { drop: true, tell: 0 });
  }

  /** The session is over. What came whole, with its FIN, stays readable. */
  fail(error: ParleyError): void {
    if (!isOver(this.#state)) this.#endWith(error, { drop: false });
  }

  /** Ends both directions in order, as far as this side is concerned: see `MuxStream.close`. */
  close(): void {
    this.receiver.discard();
    if (!isWriteOver(this.#state)) this.sender.finish().catch(() => {});
    this.#refuseUnwanted();
    this.#releaseIfEmpty();
    if (this.#isClosing || isOver(this.#state)) return;
    this.#isClosing = true;
    this.#host.onClosing(this);
  }

  /** The application reads no more: see `MuxStream.cancel`. */
  cancel(): void {
    this.receiver.discard();
    // The caller says so: a peer that still sends need not go on.
    this.#hasLingered = true;
    if (isWriteOver(this.#state) && !isReadOver(this.#state)) this.#endUnwanted();
    this.#releaseIfEmpty();
  }

  /** Ends a served stream: see `MuxStream.retire`. `unreadBytes` were taken off the stream and not used. */
  retire(unreadBytes: number): void {
    // Never less than before: a stream that was broken off is so for good.
    this.#retiredUnread = Math.max(unreadBytes, this.#retiredUnread ?? 0);
    if (this.#state === "writeClosed" && this.#host.terms.hasAgreed) {
      this.#sendCountedEnd(unreadBytes);
    }
    this.close();
  }

  /** Ends it other than in order, behind everything written: see `MuxStream.breakOff`. */
  breakOff(): boolean {
    if (!this.#host.terms.hasAgreed) return false;
    // A count that does not fit says so.
    this.retire(1);
    return true;
  }

  #topUp(): number {
    return this.#host.terms.hasAgreed ? this.receiver.topUp() : 0;
  }

  #onData(length: number): void {
    if (isOver(this.#state)) return;
    if (length > 0) this.#move("receiveData");
    this.receiver.announce(length);
  }

  #onReset(length: number): void {
    if (isOver(this.#state)) return;
    const error = this.#resetError(length);
    this.#endWith(error, { drop: false });
    if (error instanceof LimitError) this.#host.onRefused();
  }

  /** What a RST of the peer means. One that comes before the peer has accepted refuses the stream. */
  #resetError(length: number): ParleyError {
    const { id } = this;
    if (isOpening(this.#state) && this.receiver.receivedBytes === 0) {
      if (this.#host.isPeerGoing) {
        return new ClosedError(
          "ERR_GOING_AWAY",
          `Cannot open stream ${id}: the peer is going away`,
        );
      }
      if (this.#host.refusesByReset) {
        const text = `Cannot open stream ${id}: the peer takes no more streams at a time`;
        return new LimitError("ERR_TOO_MANY_STREAMS", text);
      }
    }
    const failed = this.#host.terms.hasAgreed && length === HANDLER_FAILED;
    const what = failed ? "failed while it served it" : "reset it";
    const text = `Cannot go on with stream ${id}: the peer ${what}`;
    const cause = failed ? new RemoteError("ERR_HANDLER", "The peer's handler failed") : undefined;
    return new ClosedError("ERR_RESET", text, { cause, unsentBytes: this.sender.pendingBytes });
  }

  /**
   * FIN and RST together: the peer's handler has returned. It took `count` bytes in all, and reads
   * no more.
   */
  #onCountedEnd(count: number): void {
    if (isOver(this.#state)) return;
    const { sentBytes, pendingBytes } = this.sender;
    const hasEnded = isReadOver(this.#state);
    if (!hasEnded) this.receiver.end();
    if (pendingBytes === 0 && count === wrapped(sentBytes)) {
      if (!hasEnded) this.#move("receiveFin");
      return this.#endInOrder();
    }
    const text =
      `Cannot go on with stream ${this.id}: the peer's handler returned before it had read everything`;
    this.#endWith(new ClosedError("ERR_RESET", text, { unsentBytes: pendingBytes }), {
      drop: false,
    });
  }

  /**
   * Everything queued has gone: FIN follows in a frame of its own, as peers that look at flags
   * first would miss bytes.
   */
  #sendFin(): void {
    const unread = this.#retiredUnread;
    if (unread === undefined || !this.#host.terms.hasAgreed || this.#isDone(unread)) {
      this.#frame(Flag.fin, 0);
      this.#move("sendFin");
      this.#refuseUnwanted();
      this.#releaseIfEmpty();
      return;
    }
    this.#sendCountedEnd(unread);
  }

  #sendCountedEnd(unread: number): void {
    this.#frame(Flag.fin | Flag.rst, wrapped(this.receiver.takenBytes - unread));
    if (!isWriteOver(this.#state)) this.#move("sendFin");
    this.#endInOrder();
  }

  /** Whether the peer has ended and everything that it sent was used. */
  #isDone(unread: number): boolean {
    return isReadOver(this.#state) && unread === 0 && this.receiver.discardedBytes === 0;
  }

  /**
   * Data that will not be read is answered with RST, as TCP does, once our own data is through. A
   * peer that keeps what it has not read only until RST comes (hashicorp/yamux) may still be
   * reading what we said: it is left alone until it has used up its window and waits for credit,
   * and for a second then.
   */
  #refuseUnwanted(): void {
    if (
      this.receiver.discardedBytes === 0 || !isWriteOver(this.#state) || isReadOver(this.#state)
    ) return;
    if (this.#host.terms.hasAgreed || this.#hasLingered) return this.#endUnwanted();
    if (this.receiver.availableBytes > 0) return;
    this.#cancelLinger ??= this.#host.clock.after(LINGER_MS, () => {
      this.#hasLingered = true;
      if (!isReadOver(this.#state)) this.#endUnwanted();
    });
  }

  #endUnwanted(): void {
    this.#frame(Flag.rst, 0);
    this.#endInOrder();
  }

  /** Ends it, if it has not ended, by a reset that takes nothing from this side. */
  #endInOrder(): void {
    if (isOver(this.#state)) return this.#releaseIfEmpty();
    this.#move("reset");
    this.sender.stop();
    this.#settle();
  }

  /** `tell` sends RST with this length. */
  #endWith(error: ParleyError, { drop, tell }: { drop: boolean; tell?: number | undefined }): void {
    if (tell !== undefined) this.#frame(Flag.rst, tell);
    this.#ended = error;
    this.#move("reset");
    this.sender.fail(error);
    this.receiver.fail(error, drop);
    this.#settle();
    this.#aborting?.abort(error);
  }

  #move(event: StreamEvent): void {
    const from = this.#state;
    const to = nextState(from, event);
    if (to === undefined) {
      const text = `Cannot take "${event}" on stream ${this.id} in state "${from}"`;
      throw new ProtocolError("ERR_MUX_STREAM_STATE", text);
    }
    if (to === from) return;
    this.#state = to;
    if (to === "closed") this.#settle();
    this.#host.onStateChange(this, from);
  }

  #settle(): void {
    this.#cancelLinger?.();
    this.#closed?.resolve(this.#ended);
    this.#releaseIfEmpty();
  }

  #releaseIfEmpty(): void {
    if (!isOver(this.#state)) return;
    const { handle } = this;
    this.handle = undefined;
    if (this.receiver.bufferedBytes === 0) this.#host.onReleased(this);
    else if (handle !== undefined) watchUnread(this.receiver, handle);
  }

  #frame(flags: number, length: number): void {
    this.#host.writer.control({ type: FrameType.windowUpdate, flags, streamId: this.id, length });
  }
}

/** A count of bytes as a length field holds it. */
function wrapped(bytes: number): number {
  return bytes % (MAX_U32 + 1);
}
