// Ending: how a connection ends: in order, at once, by its peer or by a fault. Every pending promise settles.
import { ClosedError, TimeoutError, TlsError } from "../errors.ts";
import type { Transport } from "../net/transport/transport.ts";
import type { Inbox } from "./inbox.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import type { ConnectionEnd } from "./types.ts";
import type { WriteQueue } from "./write_queue.ts";

/** After our end of the connection is closed, how long the peer may take to close its own, in ms. */
const LINGER_MS = 1000;

/**
 * ```
 * open ──close(), fault──▶ closing ──▶ closed
 *   └──abort(), closeNow(), reset───────────▲
 * ```
 */
type State = "open" | "closing" | "closed";

/** What an {@linkcode Ending} works on. */
export interface EndingParts {
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly queue: WriteQueue;
  /** Longest time that writing the rest may take, in ms. */
  readonly closeTimeoutMs: number;
  /** Called once, as soon as the transport is closed. */
  readonly onClosed: () => void;
}

/** The state of one connection, and all that changes it. */
export class Ending {
  readonly #parts: EndingParts;
  readonly #inputEnded: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed: PromiseWithResolvers<ConnectionEnd> = Promise.withResolvers();
  /** The end of our direction in order, once it was asked for. */
  #writesEnding: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  /** Where in its life the connection is. */
  state: State = "open";
  /** Whether messages are taken for sending. */
  sendable = true;
  /** Why the connection ends early. */
  error: Error | null = null;
  /** When it was gone, in ms since 1970. */
  closedAtMs: number | null = null;
  /** Whether no more bytes come from the peer. */
  hasInputEnded = false;

  constructor(parts: EndingParts) {
    this.#parts = parts;
  }

  /** Resolves when no more bytes come from the peer. */
  get inputEnded(): Promise<void> {
    return this.#inputEnded.promise;
  }

  /** Resolves when the transport is closed. */
  get closed(): Promise<ConnectionEnd> {
    return this.#closed.promise;
  }

  /** Why nothing is sent any more: `action` is what was tried. */
  refusal(action = "send"): Error {
    if (this.error !== null) return this.error;
    const why = this.state === "open" ? "its writing side was closed" : "the connection is closed";
    return new ClosedError("ERR_CLOSED", `Cannot ${action}: ${why}`);
  }

  /** Whether a message is refused for what the caller did, and not because the connection ends: nothing else reports that. */
  get isCallersFault(): boolean {
    return this.state === "open" && this.error === null;
  }

  /** Why the peer counts as gone, once {@linkcode hasInputEnded}. */
  departure(): Error {
    if (this.error !== null) return this.error;
    const who = this.state === "open" ? "The peer has ended its direction" : "The connection is closed";
    return new ClosedError("ERR_CLOSED", who);
  }

  /** Ends our direction once all that was sent is written. It resolves only if the peer reads to an end in order. */
  closeWrite(): Promise<void> {
    if (this.#writesEnding !== undefined) return this.#writesEnding;
    if (this.state !== "open" || this.error !== null) return rejected(this.refusal("end the writing side"));
    this.sendable = false;
    return this.#writesEnding = ignoreRejection(this.#endWrites());
  }

  /** Closes in order; rejects when bytes that were accepted could not be written. */
  close(): Promise<void> {
    return this.#closing ??= ignoreRejection(this.#closeInOrder());
  }

  /** Drops what waits to be sent; what was received can still be read. */
  closeNow(): void {
    this.#parts.inbox.discard();
    this.#finish(this.error);
  }

  /** Drops what waits to be read or sent. */
  abort(error: Error): void {
    // The caller of abort() knows that bytes are lost: a later close() need not say so.
    this.#closing ??= Promise.resolve();
    this.#parts.inbox.cut(error);
    this.#finish(error);
  }

  /** No more input comes: the peer ended in order, or the transport failed. */
  onInputEnd(error: Error | null): void {
    this.#endInput();
    if (error === null) return;
    // What the peer says in so many words is worth more than that a write failed.
    this.#finish(error instanceof TlsError ? error : this.error ?? error);
  }

  /** The connection cannot go on; what was sent before is still written. */
  failInOrder(error: Error): void {
    if (this.state === "closed") return;
    this.error ??= error;
    if (isFault(error)) this.#parts.transport.unsign?.();
    void this.close();
  }

  /** A time has run out. */
  onTimeout(error: Error): void {
    this.#parts.inbox.end(error);
    if (error instanceof ClosedError) this.#finish(this.error ?? error);
    else this.failInOrder(error);
  }

  /** Writing is over. The peer may have said why before it left, so reading goes on until it ends, or for a moment. */
  onWriteError(error: Error): void {
    const { queue } = this.#parts;
    if (error instanceof ClosedError && error.code === "ERR_SLOW_CONSUMER") {
      return this.#finish(this.error ?? error);
    }
    const told = withUnsent(error, queue.queuedBytes);
    this.error ??= told;
    queue.end(told);
    void this.#hearLastWords();
  }

  async #endWrites(): Promise<void> {
    const { transport, queue } = this.#parts;
    await queue.flushed();
    await transport.closeWrite();
    // An end at once goes before: then the peer need not have read to the end.
    if (this.state === "closed") throw this.refusal("end the writing side");
  }

  async #closeInOrder(): Promise<void> {
    if (this.state !== "closed") await this.#endInOrder();
    const { error, unsentBytes } = await this.closed;
    if (unsentBytes > 0 && error !== null) throw error;
  }

  async #endInOrder(): Promise<void> {
    const { inbox, closeTimeoutMs } = this.#parts;
    this.#setClosing();
    inbox.discard();
    const timer = setTimeout(() => this.#onCloseTimeout(), closeTimeoutMs);
    try {
      await this.#handOver();
      await this.#linger();
      this.#finish(this.error);
    } catch (error) {
      this.#finish(this.error ?? error as Error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Writes what was sent, then the end of our direction: one in order is what `closeWrite` promises. */
  async #handOver(): Promise<void> {
    const { transport, queue } = this.#parts;
    if (this.error === null) this.#writesEnding ??= ignoreRejection(this.#endWrites());
    if (this.#writesEnding !== undefined) return await this.#writesEnding;
    await queue.flushed();
    await transport.closeWrite();
  }

  #onCloseTimeout(): void {
    const { closeTimeoutMs, queue: { queuedBytes } } = this.#parts;
    if (queuedBytes === 0) return this.#finish(this.error);
    this.#finish(
      this.error ?? new TimeoutError(
        "ERR_WRITE_TIMEOUT",
        `Cannot close in order within ${closeTimeoutMs} ms: the peer did not take ${queuedBytes} bytes`,
        { cutConnections: 1, cutBytes: queuedBytes },
      ),
    );
  }

  async #hearLastWords(): Promise<void> {
    if (this.state === "closed") return;
    this.#setClosing();
    const { transport } = this.#parts;
    transport.unsign?.();
    // The writing side may work still, and the peer wait for what will never come.
    transport.closeWrite().catch(() => {});
    await this.#linger();
    this.#finish(this.error);
  }

  /** Waits for the peer to end, for a moment. */
  async #linger(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LINGER_MS);
    await Promise.race([this.inputEnded, this.closed, promise]);
    clearTimeout(timer);
  }

  #setClosing(): void {
    this.state = "closing";
    this.sendable = false;
  }

  #finish(error: Error | null): void {
    if (this.state === "closed") return;
    const { transport, inbox, queue, onClosed } = this.#parts;
    this.state = "closed";
    this.sendable = false;
    this.error = error;
    this.closedAtMs = Date.now();
    const unsentBytes = queue.queuedBytes;
    if (unsentBytes > 0 || (error !== null && isFault(error))) transport.unsign?.();
    transport.close();
    queue.end(error);
    inbox.end(error);
    this.#endInput();
    this.#closed.resolve({ error, unsentBytes });
    onClosed();
  }

  #endInput(): void {
    if (this.hasInputEnded) return;
    this.hasInputEnded = true;
    this.#inputEnded.resolve();
  }
}

/** Whether the peer must learn that the end is none in order. That nothing moves is no fault, and nothing is lost by it. */
function isFault(error: Error): boolean {
  return !(error instanceof TimeoutError && error.code === "ERR_IDLE_TIMEOUT");
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
