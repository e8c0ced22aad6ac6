// ConnectionLifecycle: the parts of one connection, and how it ends: in order, at once, by its peer
// or by a fault.
import { ClosedError, TimeoutError, TlsError } from "../errors.ts";
import type { Transport } from "../net/transport/transport.ts";
import { endsWithin, timeLeft } from "../async/deadline.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { callHook } from "../log/call_hook.ts";
import type { ClaimedMessages } from "./claim.ts";
import { ClosingTimer } from "./closing_timer.ts";
import type { ResolvedConnectionOptions } from "./options.ts";
import { type ReceiveListener, ReceiveQueue } from "./receive_queue.ts";
import type { ReceiveEnd } from "./receive_state.ts";
import type { WatchedConnection } from "./timeout_watch.ts";
import type { ConnectionEnd, ConnectionSetup, MessageObserver } from "./types.ts";
import { Upkeep, type UpkeepSetup } from "./upkeep.ts";
import { type WriteListener, WriteQueue } from "./write_queue.ts";

/** After our end of the connection is closed, how long the peer may take to close its own, in ms. */
const LINGER_MS = 1000;

/** What comes from here on is thrown away. */
const DISCARDING: ReceiveEnd = { kind: "discarding" };

/**
 * ```
 * open ──close(), fault──▶ closing ──▶ closed
 *   └──abort(), closeNow(), reset───────────▲
 * ```
 */
type State = "open" | "closing" | "closed";

/** What the creator of a connection passes for its parts. */
export interface LifecycleSetup
  extends
    UpkeepSetup,
    Pick<ConnectionSetup<unknown>, "rateGate" | "onClosed" | "onRatePause" | "observer"> {}

/**
 * The state of one connection, and all that changes it. It makes the parts, which report to it: the
 * queue of each direction, and the upkeep that watches the timeouts. Every pending promise of
 * theirs settles when the connection ends.
 *
 * Everything may be called at any time, and concurrently: the first call that ends the connection counts.
 */
export class ConnectionLifecycle
  implements WriteListener, ReceiveListener, WatchedConnection, ClaimedMessages {
  readonly transport: Transport;
  readonly writeQueue: WriteQueue;
  readonly receiveQueue: ReceiveQueue;
  readonly upkeep: Upkeep;
  readonly maxMessageBytes: number;
  readonly observer: MessageObserver | undefined;
  readonly #closeTimeoutMs: number;
  /** Made when they are asked for. */
  #inputEnded: PromiseWithResolvers<void> | undefined;
  #closed: PromiseWithResolvers<ConnectionEnd> | undefined;
  #end: ConnectionEnd | null = null;
  readonly #onClosed: ConnectionSetup<unknown>["onClosed"];
  /** The end of our direction in order, once it was asked for. */
  #writesEnding: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  /** Whether a close waits for the consumer to end what is under way. */
  isFinishing = false;
  /** Current state of the connection. */
  state: State = "open";
  /** Whether messages are taken for sending. */
  sendable = true;
  /** Why the connection ends early. */
  error: Error | null = null;
  /** When the transport was closed, in ms since 1970; `null` before that. */
  closedAtMs: number | null = null;
  /** Whether no more bytes come from the peer. */
  hasInputEnded = false;

  constructor(transport: Transport, options: ResolvedConnectionOptions, setup: LifecycleSetup) {
    this.transport = transport;
    this.maxMessageBytes = options.maxMessageBytes;
    this.#closeTimeoutMs = options.closeTimeoutMs;
    this.writeQueue = new WriteQueue(transport, options.framing.encoder(options), options, this);
    const { rateGate, onRatePause, observer } = setup;
    this.#onClosed = setup.onClosed;
    this.observer = observer;
    const { readAheadBytes, idleTimeoutMs } = options;
    this.receiveQueue = new ReceiveQueue(
      transport,
      options.framing,
      options,
      { readAheadBytes, idleTimeoutMs, rateGate, onRatePause, observer },
      this,
    );
    this.upkeep = new Upkeep(options, setup, this);
  }

  /** Begins to read. */
  start(): void {
    this.receiveQueue.start();
  }

  /** Resolves when no more bytes come from the peer. */
  get inputEnded(): Promise<void> {
    if (this.#inputEnded === undefined) {
      this.#inputEnded = Promise.withResolvers();
      if (this.hasInputEnded) this.#inputEnded.resolve();
    }
    return this.#inputEnded.promise;
  }

  /** Resolves when the transport is closed. */
  get closed(): Promise<ConnectionEnd> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers();
      if (this.#end !== null) this.#closed.resolve(this.#end);
    }
    return this.#closed.promise;
  }

  /** Returns the error of a call that is refused; `action` names what the caller tried. */
  refusal(action = "send"): Error {
    if (this.error !== null) return this.error;
    const why = this.state === "open" ? "its writing side was closed" : "the connection is closed";
    return new ClosedError("ERR_CLOSED", `Cannot ${action}: ${why}`);
  }

  /**
   * Whether a message is refused for what the caller did, and not because the connection ends:
   * nothing else reports that.
   */
  get isCallersFault(): boolean {
    return this.state === "open" && this.error === null;
  }

  /** Returns why the peer counts as gone, once {@linkcode hasInputEnded}. */
  departure(): Error {
    if (this.error !== null) return this.error;
    const who = this.state === "open"
      ? "The peer has ended its direction"
      : "The connection is closed";
    return new ClosedError("ERR_CLOSED", who);
  }

  /**
   * Ends our direction once all that was sent is written. It resolves only if the peer reads to an
   * end in order.
   */
  closeWrite(): Promise<void> {
    if (this.#writesEnding !== undefined) return this.#writesEnding;
    if (this.state !== "open" || this.error !== null) {
      return rejected(this.refusal("end the writing side"));
    }
    this.sendable = false;
    return this.#writesEnding = ignoreRejection(this.#endWrites());
  }

  /**
   * Closes in order, after what the consumer has under way; rejects when bytes that were accepted
   * could not be written, or the consumer needed more time.
   */
  close(timeoutMs: number = this.#closeTimeoutMs): Promise<void> {
    return this.#closing ??= ignoreRejection(this.#closeInOrder(timeoutMs));
  }

  /** Drops what waits to be sent; what was received can still be read. */
  closeNow(): void {
    this.receiveQueue.end(DISCARDING);
    this.#finish(this.error);
  }

  /** Drops what waits to be read or sent. */
  abort(error: Error): void {
    // The caller of abort() knows that bytes are lost: a later close() need not say so.
    this.#closing ??= Promise.resolve();
    this.receiveQueue.end({ kind: "cut", error });
    this.#finish(error);
  }

  get isOpen(): boolean {
    return this.state === "open" && this.error === null;
  }

  /** Whether less than `highWaterBytes` wait to be sent. */
  get hasRoom(): boolean {
    return this.writeQueue.hasRoom;
  }

  /** Goes on to deliver messages to the consumer that has claimed them. */
  resume(): void {
    this.receiveQueue.reader.resume();
  }

  /** Writes now what was sent in this turn. */
  flush(): void {
    this.writeQueue.flush();
  }

  /** Bytes were read. */
  onRead(): void {
    this.writeQueue.heardBytes = this.writeQueue.writtenBytes;
    this.upkeep.onRead();
  }

  /** The reader waits: what was sent so far goes out now. */
  onReaderIdle(): void {
    this.writeQueue.flush();
  }

  /** No more input comes: the peer ended in order, or the transport failed. */
  onInputEnd(error: Error | null): void {
    this.#endInput();
    if (error === null) return;
    // What the peer says in so many words is worth more than that a write failed.
    this.#finish(error instanceof TlsError ? error : this.error ?? error);
  }

  /** The connection cannot go on; what was sent before is still written. */
  onInputFault(error: Error): void {
    if (this.state === "closed") return;
    this.error ??= error;
    if (isFault(error)) this.transport.unsign?.();
    void this.close();
  }

  /** A time has run out. */
  onTimeout(error: Error): void {
    this.receiveQueue.end({ kind: "ended", error });
    if (error instanceof ClosedError) this.#finish(this.error ?? error);
    else this.onInputFault(error);
  }

  /**
   * Writing is over. The peer may have said why before it left, so reading goes on until it ends,
   * or for a moment.
   */
  onWriteError(error: Error): void {
    const { writeQueue } = this;
    if (error instanceof ClosedError && error.code === "ERR_SLOW_CONSUMER") {
      return this.#finish(this.error ?? error);
    }
    const reported = withUnsent(error, writeQueue.queuedBytes);
    this.error ??= reported;
    writeQueue.end(reported);
    void this.#hearLastWords();
  }

  async #endWrites(): Promise<void> {
    const { transport, writeQueue } = this;
    await writeQueue.flushed();
    await transport.closeWrite();
    // An end at once goes before: then the peer need not have read to the end.
    if (this.state === "closed") throw this.refusal("end the writing side");
  }

  async #closeInOrder(timeoutMs: number): Promise<void> {
    const work = this.isOpen ? this.receiveQueue.reader.finish() : null;
    let isFinished = true;
    let leftMs = timeoutMs;
    if (work !== null) {
      const startedMs = performance.now();
      isFinished = await this.#finishes(work, timeoutMs);
      leftMs = timeLeft(timeoutMs, startedMs);
    }
    if (this.state !== "closed") await this.#endInOrder(leftMs);
    const { error, unsentBytes } = await this.closed;
    if (unsentBytes > 0 && error !== null) throw error;
    if (!isFinished) throw unfinished(timeoutMs);
  }

  /** Waits for the consumer; returns whether it has ended all in time, or the connection has ended. */
  async #finishes(work: Promise<void>, timeoutMs: number): Promise<boolean> {
    this.isFinishing = true;
    return await endsWithin(Promise.race([work, this.closed]), timeoutMs);
  }

  async #endInOrder(timeoutMs: number): Promise<void> {
    this.#setClosing();
    this.receiveQueue.end(DISCARDING);
    const timer = new ClosingTimer(timeoutMs, () => this.#onCloseTimeout(timeoutMs));
    try {
      await this.#handOver();
      if (!this.hasInputEnded) await this.#linger();
      this.#finish(this.error);
    } catch (error) {
      this.#finish(this.error ?? error as Error);
    } finally {
      timer.cancel();
    }
  }

  /** Writes what was sent, then ends our direction: `closeWrite` promises an end in order. */
  #handOver(): Promise<void> {
    if (this.error === null) this.#writesEnding ??= ignoreRejection(this.#endWrites());
    return this.#writesEnding ?? this.#endUnasked();
  }

  /** The same, where the connection ends by an error: no caller learns how it went. */
  async #endUnasked(): Promise<void> {
    await this.writeQueue.flushed();
    await this.transport.closeWrite();
  }

  #onCloseTimeout(timeoutMs: number): void {
    const { queuedBytes } = this.writeQueue;
    if (queuedBytes === 0) return this.#finish(this.error);
    this.#finish(
      this.error ?? new TimeoutError(
        "ERR_WRITE_TIMEOUT",
        `Cannot close in order within ${timeoutMs} ms: the peer did not take ${queuedBytes} bytes`,
        { cutConnections: 1, cutBytes: queuedBytes },
      ),
    );
  }

  async #hearLastWords(): Promise<void> {
    if (this.state === "closed") return;
    this.#setClosing();
    const { transport } = this;
    transport.unsign?.();
    // The writing side may work still, and the peer wait for what will never come.
    transport.closeWrite().catch(() => {});
    await this.#linger();
    this.#finish(this.error);
  }

  /** Waits for the peer to end, for a moment; the end of the connection ends the input as well. */
  async #linger(): Promise<void> {
    const timer = new ClosingTimer(LINGER_MS, () => this.#finish(this.error));
    await this.inputEnded;
    timer.cancel();
  }

  #setClosing(): void {
    this.state = "closing";
    this.sendable = false;
  }

  #finish(error: Error | null): void {
    if (this.state === "closed") return;
    const { transport, writeQueue } = this;
    this.state = "closed";
    this.sendable = false;
    this.error = error;
    this.closedAtMs = Date.now();
    const unsentBytes = writeQueue.queuedBytes;
    if (unsentBytes > 0 || (error !== null && isFault(error))) transport.unsign?.();
    transport.close();
    writeQueue.end(error);
    this.receiveQueue.end({ kind: "ended", error });
    this.#endInput();
    const end = this.#end = { error, unsentBytes };
    if (this.#onClosed !== undefined) queueMicrotask(() => this.#tellClosed(end));
    this.#closed?.resolve(end);
    this.upkeep.stop();
  }

  #tellClosed(end: ConnectionEnd): void {
    callHook(() => this.#onClosed?.(end), (error) => {
      // deno-lint-ignore no-console -- a connection has no other place for it: servers guard their own hooks
      console.error("onClosed of a connection failed:", error);
    });
  }

  #endInput(): void {
    if (this.hasInputEnded) return;
    this.hasInputEnded = true;
    this.#inputEnded?.resolve();
  }
}

/**
 * Whether the peer must learn that the end is not in order. An idle connection is no fault, and
 * nothing is lost by its end.
 */
function isFault(error: Error): boolean {
  return !(error instanceof TimeoutError && error.code === "ERR_IDLE_TIMEOUT");
}

/** The error of a close that could not wait for what the consumer had under way. */
function unfinished(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot close in order within ${timeoutMs} ms: calls were under way, and were cut`,
    { cutConnections: 1 },
  );
}

/** The same error, with what was not sent. */
function withUnsent(error: Error, unsentBytes: number): Error {
  if (!(error instanceof ClosedError) || error.unsentBytes > 0) return error;
  return new ClosedError(error.code as "ERR_RESET", error.message, { cause: error, unsentBytes });
}

/** Why the signal of a connection that drains aborts. */
export function goingAway(): ClosedError {
  return new ClosedError("ERR_GOING_AWAY", "The connection is draining");
}
