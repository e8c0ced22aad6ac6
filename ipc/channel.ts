// IpcChannel: what a client and a process of a pair have in common: one other process.
import type { CloseOptions } from "../options/close.ts";
import { sharedSweeper } from "../async/sweeper.ts";
import type { IpcStats } from "../stats/data/snapshots.ts";
import { ClosedError } from "../errors.ts";
import { setCallLine } from "./call_line.ts";
import { CurrentLink } from "./current_link.ts";
import { CallSlot } from "./link/call_slot.ts";
import {
  type IpcMessage,
  type IpcReceiveBatchOptions,
  type IpcReceiveOptions,
  iterate,
} from "./link/inbox.ts";
import type { IpcLink } from "./link/link.ts";
import type { LinkOptions } from "./link/options.ts";
import type { IpcQueryHandler } from "./link/query_context.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import type { LinkOutcome } from "./link/state.ts";
import { shortestMs } from "./link/watch.ts";
import { RepeatedFailure } from "./connect_failures.ts";
import { type IpcStatus, type IpcStatusEvent, StatusFeed } from "./observe/status.ts";
import { IpcTally } from "./observe/tally.ts";
import { abortError, refuseClose, type ResolvedIpcOptions } from "./options.ts";
import type { HandshakeReason } from "./secure/hello.ts";
import { type IpcBatchMessage, sendMessage, sendMessages, sendQuery } from "./sending.ts";

/** What an {@linkcode IpcChannel} and the class that extends it both work with. */
export class ChannelParts {
  readonly resolved: ResolvedIpcOptions;
  readonly current: CurrentLink;
  readonly tally: IpcTally;
  readonly statuses: StatusFeed;
  readonly repeatedFailure: RepeatedFailure;
  /** Where the handlers of calls are set. */
  readonly calls: CallSlot = new CallSlot();
  /** The same for every link of this channel. */
  readonly linkOptions: LinkOptions;
  /**
   * Aborts when this side ends, before its link does: ends attempts to connect and the pauses
   * between them, and the link is not replaced.
   */
  readonly stopping: AbortController = new AbortController();
  /** Handshakes that failed while it listened, by reason. */
  readonly failedHandshakes: Partial<Record<HandshakeReason, number>> = {};
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();

  /** Makes the parts of a channel that has no link yet. */
  constructor(resolved: ResolvedIpcOptions, onQuery: IpcQueryHandler | undefined) {
    const { link: limits, reporter } = resolved;
    this.resolved = resolved;
    this.current = new CurrentLink(limits);
    this.tally = new IpcTally(reporter);
    this.statuses = new StatusFeed((event) => reporter.statusChanged(limits.channel, event));
    this.repeatedFailure = new RepeatedFailure(limits.channel, reporter);
    this.linkOptions = {
      limits,
      inbox: this.current.inbox,
      onQuery,
      calls: this.calls,
      onHandlerError: (error) => this.tally.handlerFailed(error, "query"),
    };
  }

  /** Resolves when the channel has ended for good. Never rejects. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Makes a confirmed link the current one. */
  attach(link: IpcLink): void {
    this.repeatedFailure.clear();
    this.tally.opened(link, null);
    this.current.attach(link);
    this.statuses.push("connected");
  }

  /** Resolves when a link has ended, and takes it out. */
  async watch(link: IpcLink): Promise<LinkOutcome> {
    sharedSweeper.add(link, shortestMs(this.resolved.link));
    const outcome = await link.closed;
    sharedSweeper.remove(link);
    this.current.detach(outcome);
    return outcome;
  }

  /** Ends attempts to connect: no further link is made. `error` is `null` for an orderly end. */
  stop(error: Error | null): void {
    this.stopping.abort(
      error ?? new ClosedError("ERR_CLOSED", "Cannot connect: this side was closed"),
    );
  }

  /** Calls `close` when `signal` aborts, until the channel has ended. */
  closeOnAbort(signal: AbortSignal | undefined, close: () => Promise<void>): void {
    if (signal === undefined) return;
    const onAbort = () => void close().catch(() => {});
    signal.addEventListener("abort", onAbort, { once: true });
    void this.closed.then(() => signal.removeEventListener("abort", onAbort));
  }

  /** Ends the channel for good. */
  end(status: IpcStatus, error: Error | null): void {
    this.current.end(error);
    this.tally.stop();
    this.statuses.push(status, error === null ? {} : { error });
    this.#closed.resolve();
  }
}

/**
 * One process's endpoint of a channel, with one other process at a time. Any number of calls may be
 * under way: messages go out in the order of the calls of `write`, and the first call of `read`
 * gets the first message.
 */
export abstract class IpcChannel implements AsyncDisposable, AsyncIterable<IpcMessage> {
  /** Name of the channel. */
  readonly name: string;
  /** Resolves when this endpoint has ended for good. Never rejects. */
  readonly closed: Promise<void>;
  readonly #parts: ChannelParts;
  readonly #role: IpcStats["role"];
  #close: Promise<void> | null = null;
  #isAborted = false;

  /** @ignore use `connectIpc` or `pairIpc` */
  constructor(role: IpcStats["role"], parts: ChannelParts) {
    this.#role = role;
    this.#parts = parts;
    this.name = parts.resolved.link.channel;
    this.closed = parts.closed;
    parts.calls.via = this;
    setCallLine(this, { slot: parts.calls, sender: parts.current });
  }

  /**
   * What this endpoint is doing. A process of a pair is `listening` alone and `connected` as a
   * pair.
   */
  get status(): IpcStatus {
    return this.#parts.statuses.status;
  }

  /** Iterates over the changes of status, from the current one to the last. */
  statuses(): AsyncIterableIterator<IpcStatusEvent, undefined> {
    return this.#parts.statuses.watch();
  }

  /** What this endpoint has done so far, over all connections and by day. */
  stats(): IpcStats {
    const { tally, failedHandshakes: failed, resolved: { reporter: { recent } } } = this.#parts;
    return tally.snapshot({
      role: this.#role,
      name: this.name,
      state: this.status,
      address: null,
      failed,
      recent,
    });
  }

  /**
   * Writes a message. Resolves when it was accepted and `data` may be changed again; wait for that,
   * so that a slow reader slows the writer. While there is no connection it waits for the next one.
   * {@linkcode flush} reports whether it arrived.
   *
   * @param type 1 to 4294967295, as both sides agree
   * @throws {RangeError} when the type is out of range
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE` when the other side takes no message of this size
   * @throws {ClosedError} when the connection was lost or closed; `ERR_SLOW_CONSUMER` when more
   * than `maxQueuedBytes` are queued
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when there was no connection for `writeTimeoutMs`
   */
  send(type: number, data: Uint8Array | string): Promise<void> {
    return sendMessage(this.#parts.current, type, data);
  }

  /**
   * Sends messages one after the other, with nothing in between, and checks all of them before. Waits
   * as {@linkcode send} does for one message of their size, so a batch may be larger than
   * `maxQueuedBytes`.
   *
   * @throws as {@linkcode send} does; when one message cannot be sent, none was sent
   * @throws {TypeError} when `messages` are no messages
   */
  sendBatch(messages: Iterable<IpcBatchMessage>): Promise<void> {
    return sendMessages(this.#parts.current, messages);
  }

  /**
   * Resolves when the other process has received all that was written before. Rejects, once for
   * each loss, when a connection was lost with messages that may not have arrived.
   *
   * @throws {ClosedError} `ERR_RESET`
   */
  flush(): Promise<void> {
    return this.#parts.current.flush();
  }

  /**
   * Waits for the next message; `null` at the end. A wait that ends early loses no message.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when none came within `timeoutMs`
   */
  receive(options?: IpcReceiveOptions): Promise<IpcMessage | null> {
    return this.#parts.current.inbox.read(options);
  }

  /**
   * Waits for messages and returns all that are here, at least one, in the order in which
   * {@linkcode receive} would return them; `null` at the end. Waits and ends as
   * {@linkcode receive} does.
   *
   * @throws as {@linkcode receive} does
   */
  receiveBatch(options?: IpcReceiveBatchOptions): Promise<IpcMessage[] | null> {
    return this.#parts.current.inbox.readBatch(options);
  }

  /** Iterates over batches to the end of the messages. */
  batches(): AsyncIterableIterator<IpcMessage[], undefined> {
    return iterate(() => this.#parts.current.inbox.readBatch());
  }

  /**
   * Asks the other process. Many queries may be under way; `data` must not be changed before the
   * answer. An empty answer is an answer. While there is no connection it waits for the next one,
   * within the same time. A query is sent once: when the connection is lost it fails, and was
   * answered or not.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when no answer came in time, `ERR_CONNECT_TIMEOUT`
   * when there was no connection
   * @throws {RemoteError} when the other side's handler failed: its code, `ERR_HANDLER` mostly,
   * `ERR_NO_HANDLER` without one
   * @throws {ClosedError} when the connection was lost, or this side has closed
   */
  query(data: Uint8Array | string, options: IpcQueryOptions = {}): Promise<Uint8Array> {
    return sendQuery(this.#parts.current, data, options, this.#parts.resolved.queryTimeoutMs);
  }

  /** Iterates over the messages, across connections. */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcMessage, undefined> {
    return iterate(() => this.receive());
  }

  /**
   * Closes in order: answers the queries that came, waits for the answers to its own, writes
   * what was written, and waits until the other side has it. What was received can still be read.
   * Idempotent.
   *
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`
   * @throws {ClosedError} when the connection was lost before the other side had everything
   */
  close(options: CloseOptions = {}): Promise<void> {
    const refused = refuseClose(options);
    if (refused !== null) return refused;
    this.#close ??= this.#drain(options);
    this.#close.catch(() => {});
    return this.#close;
  }

  /**
   * Ends now. Every wait rejects with `reason` when it is an `Error`, else with a `ClosedError`
   * `ERR_CLOSED` whose cause it is. Idempotent.
   */
  abort(reason?: unknown): void {
    this.#isAborted = true;
    const error = abortError(reason);
    this.#parts.stop(error);
    this.#parts.current.link?.abort(error);
    void this.leave("error", error);
  }

  /**
   * The same as {@linkcode close}; after an abort it waits for {@linkcode closed}, and never
   * rejects.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#isAborted ? this.closed : this.close();
  }

  /**
   * @ignore ends attempts to connect or to listen, and the channel; between this class and those
   * that extend it
   */
  protected abstract leave(status: IpcStatus, error: Error | null): Promise<void>;

  /** @ignore lets no other process in from here on; a client accepts none */
  protected stopAccepting(): void {}

  async #drain(options: CloseOptions): Promise<void> {
    const { current, statuses } = this.#parts;
    this.#parts.stop(null);
    statuses.push("closing");
    current.refuse(null);
    this.stopAccepting();
    try {
      await current.link?.close(options);
    } catch (error) {
      await this.leave("closed", error as Error);
      throw error;
    }
    await this.leave("closed", null);
  }
}
