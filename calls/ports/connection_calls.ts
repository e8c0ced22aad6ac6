// ConnectionCalls: the engine of calls on one connection: its one reader, for both directions at once.
import { ignoreRejection } from "../../async/rejections.ts";
import { SharedTimer } from "../../async/shared_timer.ts";
import { Fifo } from "../../collections/fifo.ts";
import type { Connection } from "../../connection.ts";
import {
  type ClaimedMessages,
  claimMessages,
  type MessageConsumer,
} from "../../connection/claim.ts";
import { FramingError, TimeoutError } from "../../errors.ts";
import {
  bareFrame,
  CallFrame,
  FRAME_HEAD_BYTES,
  frameId,
  frameType,
  replyFrame,
} from "../protocol/call_frames.ts";
import { encodeFailure } from "../protocol/reply.ts";
import { CallTable } from "./call_table.ts";
import { type CallReceiver, IncomingCalls } from "./incoming_calls.ts";
import { FRAME_SCRATCH, type FrameSender, OutgoingCalls } from "./outgoing_calls.ts";

/** Largest message of a connection whose owner sets no limit. */
const USUAL_MESSAGE_BYTES = 2 ** 20;

/** The engine of each connection that has one. */
const engines = new WeakMap<Connection, ConnectionCalls>();

/**
 * Carries calls over one connection, in both directions. It is the one reader of the connection,
 * and closes it once the other side has ended its direction.
 *
 * ```
 * open ──drain──▶ finishing ──handlers have ended──▶ ended
 *   │ └─close──▶ closing ──no calls are under way──────▲
 *   └──the peer or the connection ends────────────────▲
 * ```
 * Everything may be called at any time.
 */
export class ConnectionCalls implements MessageConsumer, FrameSender, CallReceiver {
  readonly refusal =
    "Cannot receive: calls take every message of this connection: use another connection for messages of your own";
  readonly sendsAnyBytes = true;
  /** The calls that go out. */
  readonly outgoing: OutgoingCalls;
  /** One timer for the deadlines of all calls that go out. */
  readonly timer: SharedTimer = new SharedTimer();
  readonly #conn: Connection;
  readonly #messages: ClaimedMessages;
  readonly #incoming: IncomingCalls;
  /** Replies that wait for room. */
  readonly #replies = new Fifo<Uint8Array>();
  readonly #finished: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: "open" | "closing" | "finishing" | "ended" = "open";
  /** When the requests came whose time is taken, by id. */
  readonly #arrivedMs = new Map<number, number>();
  #hasToldLimit = false;
  /** Who waits for the calls under way, because the connection closes. */
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Whether {@linkcode onRoom} will be called. */
  #awaitsRoom = false;
  /** Subject of the certificate by which the other side has authenticated. */
  readonly peer: string | undefined;
  /** Answers the calls that come in: those of this connection, beyond them those of its server or client. */
  readonly table: CallTable = new CallTable();

  /**
   * Returns the engine of a connection, and makes it when there is none.
   *
   * @throws {TypeError} when a reader waits on the connection, or it belongs to a pool
   */
  static of(conn: Connection): ConnectionCalls {
    let engine = engines.get(conn);
    if (engine === undefined) engines.set(conn, engine = new ConnectionCalls(conn));
    return engine;
  }

  private constructor(conn: Connection) {
    this.#conn = conn;
    this.peer = conn.tls?.peerCertificate?.subject;
    this.#messages = claimMessages(conn, this);
    this.outgoing = new OutgoingCalls(this, "the peer");
    this.#incoming = new IncomingCalls(this, this.table);
    this.#messages.observer?.tellsApart?.();
    // Who takes as much as most do need not say it unless it calls.
    if (this.#messages.maxMessageBytes !== USUAL_MESSAGE_BYTES) this.tellLimit();
    const { draining } = conn;
    if (draining.aborted) this.#onDraining();
    else draining.addEventListener("abort", this.#onDraining, { once: true });
    void conn.closed.then(({ error }) => this.#onClosed(error));
  }

  /** Resolves when the connection carries no more calls, and no handler runs. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  get via(): Connection {
    return this.#conn;
  }

  get maxReplyBytes(): number {
    const { maxMessageBytes } = this.#messages;
    return Math.min(maxMessageBytes, this.outgoing.maxFrameBytes) - FRAME_HEAD_BYTES;
  }

  get callsOut(): number {
    return this.outgoing.size;
  }

  get isReady(): boolean {
    return !this.#incoming.isFull;
  }

  get isBusy(): boolean {
    return this.outgoing.size > 0 || !this.#incoming.isIdle;
  }

  finish(): Promise<void> | null {
    if (this.#state === "open") {
      this.#state = "closing";
      this.outgoing.finish();
      if (!this.#isQuiet) this.send(bareFrame(CallFrame.goingAway, 0));
    }
    this.#tellQuiet();
    if (this.#isQuiet) return null;
    this.#quiet ??= Promise.withResolvers();
    return this.#quiet.promise;
  }

  get hasRoom(): boolean {
    return this.#replies.size === 0 && this.#messages.hasRoom;
  }

  onMessage(frame: Uint8Array): void {
    try {
      const id = frameId(frame);
      switch (frameType(frame)) {
        case CallFrame.request:
          this.#requested(id);
          return this.#incoming.onRequest(id, frame.subarray(FRAME_HEAD_BYTES));
        case CallFrame.reply:
          return this.outgoing.onReply(id, frame.subarray(FRAME_HEAD_BYTES));
        case CallFrame.cancel:
          this.#arrivedMs.delete(id);
          return this.#incoming.onCancel(id);
        case CallFrame.goingAway:
          return this.outgoing.onGoingAway();
        case CallFrame.last:
          return this.outgoing.onLast(id);
        case CallFrame.limit:
          this.outgoing.maxFrameBytes = id;
      }
    } catch (error) {
      this.fail(error);
    }
  }

  onEnd(error: unknown): void {
    const conn = this.#conn;
    const isDraining = conn.draining.aborted && this.#messages.isOpen;
    if (error !== null || !isDraining || conn.signal.aborted) return this.#end(error);
    // This side drains, and has read all that had come.
    this.#state = "finishing";
    this.send(bareFrame(CallFrame.last, this.#incoming.lastId));
    this.outgoing.end(conn.draining.reason);
    void conn.inputEnded.then(() => this.#end(null));
    this.onProgress();
  }

  /** Sends a frame. `onRefused` learns that the connection does not take it. */
  send(frame: Uint8Array, onRefused?: (error: unknown) => void): void {
    const { sending } = this.#conn;
    const before = sending.pushedBytes;
    const accepted = this.#conn.send(frame);
    if (sending.pushedBytes === before) {
      accepted.catch(onRefused ?? (() => {}));
    } else if (!this.#awaitsRoom && !this.#messages.hasRoom) {
      this.#awaitsRoom = true;
      accepted.then(this.#onRoom, () => {});
    }
  }

  reply(id: number, reply: Uint8Array): void {
    this.#answered(id);
    if (this.hasRoom) this.#sendReply(id, replyFrame(id, reply, FRAME_SCRATCH));
    else this.#replies.push(replyFrame(id, reply));
  }

  /** A handler has ended, or replies went out: reading, or the end, may have waited for that. */
  onProgress(): void {
    this.#tellQuiet();
    if (this.#state === "open" || this.#state === "closing") return this.#messages.resume();
    if (!this.#incoming.isIdle) return;
    if (this.#state === "finishing" && this.#replies.size > 0) return;
    ignoreRejection(this.#conn.close());
    this.#finished.resolve();
  }

  tellLimit(): void {
    if (this.#hasToldLimit) return;
    this.#hasToldLimit = true;
    this.send(bareFrame(CallFrame.limit, this.#messages.maxMessageBytes));
  }

  onAdded(): void {
    // Not at once: the handlers that begin then may call, too.
    if (this.#incoming.isWaiting) queueMicrotask(() => this.#incoming.pump());
  }

  onIdle(): void {
    this.#tellQuiet();
  }

  /** Whether no call is under way in either direction. */
  get #isQuiet(): boolean {
    return this.#state === "ended" || (!this.isBusy && this.#replies.size === 0);
  }

  /**
   * Announces to a close that nothing is under way any more, and to the other side which calls came
   * too late.
   */
  #tellQuiet(): void {
    if (this.#state === "open" || !this.#isQuiet) return;
    if (this.#state === "closing") {
      this.#state = "finishing";
      this.#incoming.refuse();
      this.send(bareFrame(CallFrame.last, this.#incoming.lastId));
    }
    this.#quiet?.resolve();
  }

  /** Ends the connection, whose peer has broken the rules. */
  fail(error: unknown): void {
    this.#conn.abort(error);
  }

  #requested(id: number): void {
    const atMs = this.#messages.observer?.requested?.();
    if (atMs !== undefined) this.#arrivedMs.set(id, atMs);
  }

  #answered(id: number): void {
    const atMs = this.#arrivedMs.get(id);
    if (atMs === undefined) return;
    this.#arrivedMs.delete(id);
    this.#messages.observer!.answered?.(atMs);
  }

  #sendReply(id: number, frame: Uint8Array): void {
    this.send(frame, (error) => {
      if (!(error instanceof FramingError)) return;
      const message = `The reply cannot be sent: ${error.message}`;
      const failure = encodeFailure({ by: "parley", code: "ERR_FRAME_TOO_LARGE", message });
      this.reply(id, failure);
    });
  }

  readonly #onRoom = (): void => {
    this.#awaitsRoom = false;
    while (this.#replies.size > 0 && this.#messages.hasRoom) {
      const frame = this.#replies.shift()!;
      this.#sendReply(frameId(frame), frame);
    }
    if (!this.hasRoom) return;
    this.outgoing.pump();
    this.#incoming.pump();
    this.onProgress();
  };

  readonly #onDraining = (): void => {
    if (this.#state === "open") this.send(bareFrame(CallFrame.goingAway, 0));
  };

  /** The connection is gone. What it had received is read all the same: it may hold replies. */
  #onClosed(error: Error | null): void {
    if (this.#state === "finishing") return this.#end(error);
    this.#incoming.end(error);
    this.#messages.resume();
  }

  /** The other side calls no more and waits for no reply, or the connection is gone. */
  #end(cause: unknown): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#conn.draining.removeEventListener("abort", this.#onDraining);
    // The connection was idle for too long: what crosses this was not begun.
    if (cause instanceof TimeoutError) this.send(bareFrame(CallFrame.last, this.#incoming.lastId));
    this.#replies.clear();
    this.#arrivedMs.clear();
    this.outgoing.end(cause);
    this.#incoming.end(cause);
    this.timer.stop();
    ignoreRejection(this.#conn.close());
    this.onProgress();
  }
}
