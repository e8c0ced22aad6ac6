// LeasedConnection: the connection of one lease, as its holder sees it; it is dead once the lease has ended.
import type { CloseOptions } from "../options/close.ts";
import { Connection } from "../connection.ts";
import { iterate, iteration, type ReceiveOptions } from "../connection/waiter.ts";
import type { ConnectionOptions } from "../connection/options.ts";
import { goingAway } from "../connection/lifecycle.ts";
import { ignoreRejection, Refusals, rejected } from "../async/rejections.ts";
import { messageReadable, messageWritable } from "../connection/streams.ts";
import type { ConnectionEnd, SendProgress } from "../connection/types.ts";
import { ClosedError } from "../errors.ts";
import type { Framing } from "../framing.ts";
import type { Address, SocketTuning, TlsInfo } from "../net/transport/transport.ts";
import type { ConnectionState, ConnectionStats } from "../stats/data/snapshots.ts";

/**
 * When the end of the backend's messages leaves the holder without an answer. `each`: fewer
 * messages came than were sent. `last`: none came since the last one was sent. `never`: messages
 * mean nothing, as with `raw()`.
 */
export type AnswerRule = "each" | "last" | "never";

/** What a {@linkcode LeasedConnection} knows of its lease. */
export interface LeaseTerms {
  /** Name of the backend, for errors. */
  readonly backend: string;
  /** Whether the connection was leased before. */
  readonly isReused: boolean;
  /** When an end is an answer that is missing. */
  readonly answers: AnswerRule;
  /** The pool's framing and limit: setting just these again leaves the connection whole. */
  readonly given: Pick<ConnectionOptions, "framing" | "maxMessageBytes">;
  /** Called when the first message has come; `null` where nothing wants to know. */
  readonly onFirstMessage: (() => void) | null;
}

/**
 * Errors of connections that had ended before anything came on them in this lease: the end was on
 * its way as the lease began.
 */
const STALE = new WeakSet<object>();

/**
 * Whether an error says that a connection kept for reuse had ended already: its work belongs on
 * another one, and was no attempt.
 */
export function isStaleEnd(error: unknown): boolean {
  return typeof error === "object" && error !== null && STALE.has(error);
}

/** No error of an end: what `closed` resolves with once a whole connection was given back. */
const GIVEN_BACK: ConnectionEnd = Object.freeze({ error: null, unsentBytes: 0 });

/**
 * A connection of a pool, lent. It does all that a `Connection` does until {@linkcode revoke}, and
 * takes note of what its holder leaves behind. After that every call is refused, so that no holder
 * can reach into the lease of the next.
 *
 * It may be used as a `Connection` may: one reader at a time, concurrent sends.
 *
 * The checker sees that no public member of `Connection` is missing; `instanceof Connection` holds.
 */
export class LeasedConnection implements Pick<Connection, keyof Connection> {
  /** Whatever belongs to this lease; the next holder does not see it. */
  data: unknown = undefined;
  /** Messages that the holder received. */
  messagesIn = 0;
  /** Messages of the holder that were accepted for sending. */
  messagesOut = 0;
  readonly #conn: Connection;
  readonly #terms: LeaseTerms;
  #isLive = true;
  #isReturned = false;
  /** Whether it is as the pool leased it, except for its framing: tuning, both directions. */
  #isIntact = true;
  /** Whether messages are framed as the pool has it. */
  #hasGivenFraming = true;
  #isUnreferenced = false;
  /** Whether the holder ended it: then the end of its messages is no end by the backend. */
  #isEndedHere = false;
  #isWriteEnded = false;
  #isInputEnded = false;
  #isEndedInOrder = false;
  /** Receives that wait. */
  #reads = 0;
  /** Whether nothing has come since the last message was sent. */
  #isUnanswered = false;
  #lastStats: ConnectionStats | undefined;
  #closed: PromiseWithResolvers<ConnectionEnd> | undefined;
  #inputEnded: PromiseWithResolvers<void> | undefined;
  #draining: AbortController | undefined;
  #leaving: AbortController | undefined;
  #refusals: Refusals | undefined;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array | string> | undefined;

  constructor(conn: Connection, terms: LeaseTerms) {
    this.#conn = conn;
    this.#terms = terms;
  }

  /**
   * Whether the next caller finds the connection as this one did: nothing waits on it, and nothing
   * was changed.
   */
  get isWhole(): boolean {
    return this.#isIntact && this.#hasGivenFraming && this.#reads === 0;
  }

  /** Whether the backend, and not the holder, ended it, and in order. */
  get isEndedInOrder(): boolean {
    return this.#isEndedInOrder;
  }

  /** Whether nothing has come on a connection that was kept for reuse. */
  get isUntouched(): boolean {
    return this.#terms.isReused && this.messagesIn === 0;
  }

  /** What the holder sees: all of a `Connection` is there. */
  asConnection(): Connection {
    return this as unknown as Connection;
  }

  /**
   * Ends it for its holder. `isReturned` says whether the connection goes to others now; else it is
   * being closed, and its end is still reported here.
   */
  revoke(stats: ConnectionStats, isReturned: boolean): void {
    this.#isLive = false;
    this.#isReturned = isReturned;
    this.#lastStats = stats;
    if (this.#isUnreferenced) this.#conn.ref();
    this.#leaving?.abort(this.#gone("use the connection"));
    if (!isReturned) return;
    this.#inputEnded?.resolve();
    this.#closed?.resolve(GIVEN_BACK);
  }

  /** Nothing more comes: the backend has ended its direction, or the connection is gone. */
  onInputEnded(): void {
    this.#isInputEnded = true;
    this.#isEndedInOrder ||= !this.#isEndedHere && this.#conn.stats().errorCode === null;
    this.#inputEnded?.resolve();
    this.#leaving?.abort(this.#departed());
  }

  /** The connection is gone. */
  onClosed(end: ConnectionEnd): void {
    this.#closed?.resolve(end);
  }

  get id(): string {
    return this.#conn.id;
  }

  get localAddr(): Address {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Address {
    return this.#conn.remoteAddr;
  }

  get tls(): TlsInfo | undefined {
    return this.#conn.tls;
  }

  get status(): ConnectionState {
    return this.#isLive ? this.#conn.status : "closed";
  }

  /** The counters are those of the connection, from its first lease on. */
  stats(): ConnectionStats {
    const last = this.#lastStats;
    return last === undefined ? this.#conn.stats() : { ...last, state: "closed" };
  }

  get sending(): SendProgress {
    const { sending } = this.#conn;
    if (this.#isLive) return sending;
    const { pushedBytes, startedBytes, writtenBytes, heardBytes } = sending;
    const whenRoom = () => Promise.resolve();
    return { pushedBytes, startedBytes, writtenBytes, heardBytes, hasRoom: false, whenRoom };
  }

  get closed(): Promise<ConnectionEnd> {
    if (this.#isReturned) return Promise.resolve(GIVEN_BACK);
    if (this.#conn.status === "closed") return this.#conn.closed;
    return (this.#closed ??= Promise.withResolvers()).promise;
  }

  get inputEnded(): Promise<void> {
    if (this.#isReturned || this.#isInputEnded) return Promise.resolve();
    return (this.#inputEnded ??= Promise.withResolvers()).promise;
  }

  get leftBytes(): number {
    return this.#conn.leftBytes;
  }

  get marksEnds(): boolean {
    return this.#conn.marksEnds;
  }

  get draining(): AbortSignal {
    const draining = this.#draining ??= new AbortController();
    if (this.status === "draining") draining.abort(goingAway());
    return draining.signal;
  }

  /** Aborts when the backend has left, and when the lease has ended. */
  get signal(): AbortSignal {
    const leaving = this.#leaving ??= new AbortController();
    if (this.#isInputEnded) leaving.abort(this.#departed());
    else if (!this.#isLive) leaving.abort(this.#gone("use the connection"));
    return leaving.signal;
  }

  send(message: Uint8Array | string): Promise<void> {
    // A message is lost: where the `await` was forgotten, nothing else reports it.
    if (!this.#isLive) return (this.#refusals ??= new Refusals()).reject(this.#gone("send"));
    if (this.#isEndedInOrder && this.isUntouched && this.messagesOut === 0) {
      return rejected(this.#stale("send"));
    }
    const conn = this.#conn;
    const before = conn.sending.pushedBytes;
    const accepted = conn.send(message);
    if (conn.sending.pushedBytes !== before) {
      this.messagesOut++;
      this.#isUnanswered = true;
    }
    return accepted;
  }

  flush(): Promise<void> {
    return this.#isLive ? this.#conn.flush() : rejected(this.#gone("flush"));
  }

  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    if (!this.#isLive) return rejected(this.#gone("receive"));
    this.#reads++;
    return ignoreRejection(this.#conn.receive(options).then(this.#onMessage, this.#onReadError));
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    return iterate(() => ignoreRejection(this.receive().then(iteration)));
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#readable ??= messageReadable(this);
  }

  get writable(): WritableStream<Uint8Array | string> {
    return this.#writable ??= messageWritable(this);
  }

  setFraming(framing: Framing, options: Pick<ConnectionOptions, "maxMessageBytes"> = {}): void {
    if (!this.#isLive) throw this.#gone("change the framing");
    const { given } = this.#terms;
    const { maxMessageBytes = given.maxMessageBytes } = options;
    this.#conn.setFraming(framing, options);
    this.#hasGivenFraming = framing === given.framing && maxMessageBytes === given.maxMessageBytes;
  }

  tune(tuning: SocketTuning): void {
    if (!this.#isLive) throw this.#gone("tune the connection");
    this.#isIntact = false;
    this.#conn.tune(tuning);
  }

  ref(): void {
    if (!this.#isLive) return;
    this.#isUnreferenced = false;
    this.#conn.ref();
  }

  unref(): void {
    if (!this.#isLive) return;
    this.#isUnreferenced = true;
    this.#conn.unref();
  }

  closeWrite(): Promise<void> {
    if (!this.#isLive) return rejected(this.#gone("end the writing side"));
    this.#isIntact = false;
    this.#isWriteEnded = true;
    return this.#conn.closeWrite();
  }

  drain(): void {
    if (!this.#isLive) return;
    this.#endHere();
    this.#conn.drain();
    this.#draining?.abort(goingAway());
  }

  close(options?: CloseOptions): Promise<void> {
    if (!this.#isLive) return this.#isReturned ? Promise.resolve() : this.#conn.close(options);
    this.#endHere();
    return this.#conn.close(options);
  }

  closeNow(): void {
    if (!this.#isLive) return;
    this.#endHere();
    this.#conn.closeNow();
  }

  abort(reason?: unknown): void {
    if (!this.#isLive) return;
    this.#endHere();
    this.#conn.abort(reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #endHere(): void {
    this.#isIntact = false;
    this.#isEndedHere = true;
  }

  readonly #onMessage = (message: Uint8Array | null): Uint8Array | null => {
    this.#reads--;
    if (!this.#isLive) throw this.#gone("receive");
    if (message === null) return this.#onEnd();
    this.#isUnanswered = false;
    if (this.messagesIn++ === 0) this.#terms.onFirstMessage?.();
    return message;
  };

  readonly #onReadError = (error: unknown): never => {
    this.#reads--;
    throw error;
  };

  /** No more messages come: an end in order, unless it stands where an answer should be. */
  #onEnd(): null {
    if (this.#isEndedHere) return null;
    this.#isEndedInOrder = true;
    if (!this.#isAnswerMissing()) return null;
    if (this.isUntouched) throw this.#stale("receive");
    throw new ClosedError(
      "ERR_CLOSED",
      `Cannot receive: the backend "${this.#terms.backend}" ended the connection in order before it answered`,
    );
  }

  #isAnswerMissing(): boolean {
    const { answers } = this.#terms;
    if (answers === "never" || !this.#hasGivenFraming) return false;
    if (this.messagesOut === 0) return this.isUntouched && !this.#isWriteEnded;
    return this.#isUnanswered || answers === "each" && this.messagesIn < this.messagesOut;
  }

  #stale(action: string): ClosedError {
    const error = new ClosedError(
      "ERR_CLOSED",
      `Cannot ${action}: the backend "${this.#terms.backend}" had ended the connection, which was kept for reuse`,
    );
    STALE.add(error);
    return error;
  }

  #gone(action: string): ClosedError {
    return new ClosedError(
      "ERR_CLOSED",
      `Cannot ${action}: the lease on the connection has ended: acquire another one`,
    );
  }

  #departed(): ClosedError {
    return new ClosedError(
      "ERR_CLOSED",
      `The backend "${this.#terms.backend}" has ended the connection`,
    );
  }
}

// A holder may ask `instanceof`. Each member of Connection is hidden by one of the same name.
Object.setPrototypeOf(LeasedConnection.prototype, Connection.prototype);
