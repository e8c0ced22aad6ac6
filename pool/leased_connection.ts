// LeasedConnection: the connection of one lease, as its holder sees it; it is dead once the lease has ended.
import type { CloseOptions } from "../options/close.ts";
import { Connection } from "../connection.ts";
import {
  iterate,
  iteration,
  type ReceiveBatchOptions,
  type ReceiveOptions,
} from "../connection/waiter.ts";
import type { ConnectionOptions } from "../connection/options.ts";
import { goingAway } from "../connection/lifecycle.ts";
import { allToBytes } from "../connection/message_bytes.ts";
import { ignoreRejection, Refusals, rejected } from "../async/rejections.ts";
import { messageReadable, messageWritable } from "../connection/streams.ts";
import type { ConnectionEnd, SendProgress } from "../connection/types.ts";
import { ClosedError } from "../errors.ts";
import type { Framing } from "../framing.ts";
import { departed, gone, staleEnd } from "./lease_errors.ts";
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
    this.#leaving?.abort(gone("use the connection"));
    if (!isReturned) return;
    this.#inputEnded?.resolve();
    this.#closed?.resolve(GIVEN_BACK);
  }

  /** Nothing more comes: the backend has ended its direction, or the connection is gone. */
  onInputEnded(): void {
    this.#isInputEnded = true;
    this.#isEndedInOrder ||= !this.#isEndedHere && this.#conn.stats().errorCode === null;
    this.#inputEnded?.resolve();
    this.#leaving?.abort(departed(this.#terms.backend));
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
    if (this.#isInputEnded) leaving.abort(departed(this.#terms.backend));
    else if (!this.#isLive) leaving.abort(gone("use the connection"));
    return leaving.signal;
  }

  send(message: Uint8Array | string): Promise<void> {
    const conn = this.#conn;
    const before = conn.sending.pushedBytes;
    const accepted = this.#refuseToSend() ?? conn.send(message);
    if (conn.sending.pushedBytes !== before) this.#onSent(1);
    return accepted;
  }

  sendBatch(messages: Iterable<Uint8Array | string>): Promise<void> {
    let all: Uint8Array[];
    try {
      // The code that makes the messages may send, or end the lease.
      all = allToBytes(messages);
    } catch (mistake) {
      return this.#refuse(mistake);
    }
    const conn = this.#conn;
    const before = conn.sending.pushedBytes;
    const accepted = this.#refuseToSend() ?? conn.sendBatch(all);
    if (conn.sending.pushedBytes !== before) this.#onSent(all.length);
    return accepted;
  }

  #refuse(mistake: unknown): Promise<never> {
    return (this.#refusals ??= new Refusals()).reject(mistake);
  }

  #refuseToSend(): Promise<never> | null {
    // A message is lost: where the `await` was forgotten, nothing else reports it.
    if (!this.#isLive) return this.#refuse(gone("send"));
    const isStale = this.#isEndedInOrder && this.isUntouched && this.messagesOut === 0;
    return isStale ? rejected(staleEnd(this.#terms.backend, "send")) : null;
  }

  #onSent(count: number): void {
    this.messagesOut += count;
    this.#isUnanswered = true;
  }

  flush(): Promise<void> {
    return this.#isLive ? this.#conn.flush() : rejected(gone("flush"));
  }

  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    if (!this.#isLive) return rejected(gone("receive"));
    this.#reads++;
    return ignoreRejection(this.#conn.receive(options).then(this.#onMessage, this.#onReadError));
  }

  receiveBatch(options?: ReceiveBatchOptions): Promise<Uint8Array[] | null> {
    if (!this.#isLive) return rejected(gone("receive"));
    this.#reads++;
    return ignoreRejection(this.#conn.receiveBatch(options).then(this.#onBatch, this.#onReadError));
  }

  batches(): AsyncIterableIterator<Uint8Array[], undefined> {
    return iterate(() => ignoreRejection(this.receiveBatch().then(iteration)));
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
    if (!this.#isLive) throw gone("change the framing");
    const { given } = this.#terms;
    const { maxMessageBytes = given.maxMessageBytes } = options;
    this.#conn.setFraming(framing, options);
    this.#hasGivenFraming = framing === given.framing && maxMessageBytes === given.maxMessageBytes;
  }

  tune(tuning: SocketTuning): void {
    if (!this.#isLive) throw gone("tune the connection");
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
    if (!this.#isLive) return rejected(gone("end the writing side"));
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

  readonly #onMessage = (message: Uint8Array | null): Uint8Array | null =>
    this.#onReceived(message, 1);

  readonly #onBatch = (batch: Uint8Array[] | null): Uint8Array[] | null =>
    this.#onReceived(batch, batch?.length ?? 0);

  #onReceived<T>(item: T | null, count: number): T | null {
    this.#reads--;
    if (!this.#isLive) throw gone("receive");
    if (item === null) return this.#onEnd();
    this.#isUnanswered = false;
    if (this.messagesIn === 0) this.#terms.onFirstMessage?.();
    this.messagesIn += count;
    return item;
  }

  readonly #onReadError = (error: unknown): never => {
    this.#reads--;
    throw error;
  };

  /** No more messages come: an end in order, unless it stands where an answer should be. */
  #onEnd(): null {
    if (this.#isEndedHere) return null;
    this.#isEndedInOrder = true;
    if (!this.#isAnswerMissing()) return null;
    if (this.isUntouched) throw staleEnd(this.#terms.backend, "receive");
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
}

// A holder may ask `instanceof`. Each member of Connection is hidden by one of the same name.
Object.setPrototypeOf(LeasedConnection.prototype, Connection.prototype);
