// CurrentLink: what stays the same while links come and go: messages, and possible losses.
import { timeLeft } from "../async/deadline.ts";
import { ignoreRejection } from "../async/rejections.ts";
import type { WaitOptions } from "../async/wait.ts";
import { Waiters } from "../async/waiters.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { checkDurationMs } from "../options/check.ts";
import { checkWaitNames } from "../options/names.ts";
import type { MuxStream } from "../mux/stream.ts";
import type { AnswerReader } from "./link/outgoing_queries.ts";
import type { CallSender } from "./call_line.ts";
import { Inbox, type IpcMessage, type IpcReceiveOptions } from "./link/inbox.ts";
import type { IpcLink } from "./link/link.ts";
import type { LinkLimits } from "./link/options.ts";
import type { LinkOutcome } from "./link/state.ts";
import type { Sender } from "./sending.ts";

/**
 * Holds one link at a time. Messages and queries wait for the next link while there is none; any
 * number of them may wait. The owner calls `attach` and `detach` in turns, and `refuse` and `end`
 * once.
 */
export class CurrentLink implements Sender, CallSender {
  /** Messages of all links. */
  readonly inbox: Inbox<IpcMessage>;
  readonly #writeTimeoutMs: number;
  readonly #waiting = new Waiters<void>();
  #link: IpcLink | null = null;
  /** Why no more links come, or `null` while they do. */
  #refusal: Error | null = null;
  /** Messages sent so far. */
  #sent = 0;
  /** Of those, how many are known to have arrived, or are part of a loss. */
  #settled = 0;
  /** The loss that the next `flush` rejects with. */
  #loss: Error | null = null;

  /** Begins without a link. */
  constructor({ readAheadBytes, writeTimeoutMs }: LinkLimits) {
    this.#writeTimeoutMs = writeTimeoutMs;
    this.inbox = new Inbox({
      highWaterBytes: readAheadBytes,
      toMessage: (type, data) => ({ type, data }),
    });
  }

  /** The current link, or `null`. */
  get link(): IpcLink | null {
    return this.#link;
  }

  /** Puts in a link that the other side has confirmed. */
  attach(link: IpcLink): void {
    this.#link = link;
    this.#waiting.resolve();
  }

  /** Takes the link out, which has ended. */
  detach({ error, unsentBytes }: LinkOutcome): void {
    if (this.#link === null) return;
    this.#link = null;
    if (this.#settled === this.#sent) return;
    this.#settled = this.#sent;
    this.#loss = new ClosedError(
      "ERR_RESET",
      "Cannot tell whether all that was written has arrived: the connection was lost",
      { cause: error ?? undefined, unsentBytes },
    );
  }

  /** Refuses messages and queries from here on; what is under way goes on. */
  refuse(error: Error | null): void {
    if (this.#refusal !== null) return;
    this.#refusal = error ??
      new ClosedError("ERR_CLOSED", "Cannot go on: the connection was closed on this side");
    this.#waiting.reject(this.#refusal);
  }

  /**
   * No more links come: once the messages here are read, readers get `error`, or the end for
   * `null`.
   */
  end(error: Error | null): void {
    this.refuse(error);
    this.inbox.end(error);
  }

  /** Sends a message; without a link it waits for one, at most `writeTimeoutMs`. */
  send(type: number, data: Uint8Array): Promise<void> {
    if (this.#refusal !== null) return ignoreRejection(Promise.reject(this.#refusal));
    const link = this.#link;
    if (link === null || !link.isOpen) return ignoreRejection(this.#sendLater(type, data));
    this.#sent++;
    return link.send(type, data);
  }

  /** Sends messages as {@linkcode send} sends one. */
  sendBatch(messages: readonly IpcMessage[]): Promise<void> {
    if (this.#refusal !== null) return ignoreRejection(Promise.reject(this.#refusal));
    const link = this.#link;
    if (link === null || !link.isOpen) return ignoreRejection(this.#sendBatchLater(messages));
    this.#sent += messages.length;
    return link.sendBatch(messages);
  }

  /** Sends a query; without a link it waits for one, within the time of the answer. */
  query(data: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    const link = this.#link;
    if (link !== null && link.isOpen) return link.query(data, timeoutMs, signal);
    return this.#later(timeoutMs, signal, (link, leftMs) => link.query(data, leftMs, signal));
  }

  /** Sends a call as {@linkcode query} sends a query. */
  call(
    data: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    reader: AnswerReader,
  ): Promise<unknown> {
    if (this.#refusal !== null) return Promise.reject(reader.explain(this.#refusal));
    const link = this.#link;
    if (link !== null && link.isOpen) return link.call(data, timeoutMs, signal, reader);
    return this.#callLater(data, timeoutMs, signal, reader);
  }

  /** Opens a stream; without a link it waits for one, within the same time. */
  async openStream({ signal, timeoutMs = Infinity }: WaitOptions): Promise<MuxStream> {
    const startedMs = performance.now();
    if (this.#refusal !== null) throw this.#refusal;
    const link = await this.#waitForLink({ signal, timeoutMs }, noLink);
    return await link.openStream({ signal, timeoutMs: timeLeft(timeoutMs, startedMs) });
  }

  /**
   * Resolves when the other process has received all that was sent before; rejects once for each
   * loss.
   */
  async flush(): Promise<void> {
    this.#throwLoss();
    const link = this.#link;
    if (link === null) {
      if (this.#refusal !== null) throw this.#refusal;
      return;
    }
    const sent = this.#sent;
    try {
      await link.confirm();
    } catch (error) {
      this.#settled = this.#sent;
      this.#loss = null; // this call reports it
      throw error;
    }
    if (this.#link === link) this.#settled = Math.max(this.#settled, sent);
    this.#throwLoss();
  }

  /** Waits for a link; see `IpcPeer.connected`. */
  async whenLinked(options: IpcReceiveOptions): Promise<void> {
    const { timeoutMs } = options;
    checkWaitNames("Cannot wait", options);
    if (timeoutMs !== undefined) checkDurationMs("Cannot wait", "timeoutMs", timeoutMs);
    if (this.#refusal !== null) throw this.#refusal;
    if (this.#link?.isOpen) return;
    await this.#waitForLink(options, noLink);
  }

  async #sendLater(type: number, data: Uint8Array): Promise<void> {
    const link = await this.#waitForLink({ timeoutMs: this.#writeTimeoutMs }, noLinkToSend);
    this.#sent++;
    await link.send(type, data);
  }

  async #sendBatchLater(messages: readonly IpcMessage[]): Promise<void> {
    const link = await this.#waitForLink({ timeoutMs: this.#writeTimeoutMs }, noLinkToSend);
    this.#sent += messages.length;
    await link.sendBatch(messages);
  }

  /** Asks over the next link, within the time that is left then. */
  async #later(
    timeoutMs: number,
    signal: AbortSignal | undefined,
    ask: (link: IpcLink, leftMs: number) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const startedMs = performance.now();
    const link = await this.#waitForLink({ timeoutMs, ...(signal && { signal }) }, noLink);
    return await ask(link, Math.max(1, timeoutMs - (performance.now() - startedMs)));
  }

  /** Sends a call once there is a link. */
  async #callLater(
    data: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    reader: AnswerReader,
  ): Promise<unknown> {
    const startedMs = performance.now();
    let link: IpcLink;
    try {
      link = await this.#waitForLink({ timeoutMs, ...(signal && { signal }) }, noLink);
    } catch (error) {
      throw reader.explain(error);
    }
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startedMs));
    return await link.call(data, leftMs, signal, reader);
  }

  /** Waits for an open link within a time. */
  async #waitForLink(options: WaitOptions, late: (timeoutMs: number) => Error): Promise<IpcLink> {
    const { timeoutMs } = options;
    const startedMs = performance.now();
    options.signal?.throwIfAborted();
    // A link that closes at once makes way for the next one.
    while (!this.#link?.isOpen) {
      const left = timeoutMs === undefined ? {} : { timeoutMs: timeLeft(timeoutMs, startedMs) };
      await this.#waiting.wait({ ...options, ...left }, () => late(timeoutMs!));
      if (this.#refusal !== null) throw this.#refusal;
    }
    return this.#link;
  }

  #throwLoss(): void {
    const loss = this.#loss;
    this.#loss = null;
    if (loss !== null) throw loss;
  }
}

function noLink(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_CONNECT_TIMEOUT",
    `Cannot go on: no other process was connected for ${timeoutMs} ms`,
  );
}

function noLinkToSend(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_WRITE_TIMEOUT",
    `Cannot write: there was no connection for ${timeoutMs} ms`,
  );
}
