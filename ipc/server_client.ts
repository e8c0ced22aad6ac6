// IpcServerClient: one client of a server, as its handlers see it.
import type { SendRoom } from "../connection/types.ts";
import type { Address } from "../net/transport/transport.ts";
import type { IpcLinkStats } from "../stats/data/snapshots.ts";
import { setCallLine } from "./call_line.ts";
import { CallSlot } from "./link/call_slot.ts";
import {
  Inbox,
  type IpcMessage,
  type IpcReceiveBatchOptions,
  type IpcReceiveOptions,
  iterate,
} from "./link/inbox.ts";
import { IpcLink } from "./link/link.ts";
import type { LinkLimits } from "./link/options.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import type { IpcAnswer, IpcQueryContext } from "./link/query_context.ts";
import type { IpcTally } from "./observe/tally.ts";
import { abortError, CLIENT_CLOSE_NAMES, refuseClose } from "./options.ts";
import { ClosingReason } from "./protocol/frames.ts";
import type { FrameLink } from "./secure/frame_link.ts";
import { type IpcBatchMessage, sendMessage, sendMessages, sendQuery } from "./sending.ts";
import type { SharedInbox } from "./shared_inbox.ts";

/** A message from one of a server's clients. */
export interface IpcServerMessage extends IpcMessage {
  /** The client that sent it. */
  readonly client: IpcServerClient;
}

/** What a server passes to its query handler beside the data. */
export interface IpcServerQueryContext extends IpcQueryContext {
  /** The client that asks. */
  readonly client: IpcServerClient;
}

/** Answers the queries of a server's clients; an empty answer is an answer. */
type IpcServerQueryHandler = (
  data: Uint8Array,
  context: IpcServerQueryContext,
) => IpcAnswer | Promise<IpcAnswer>;

/** What a server's clients share. */
export interface ClientHost {
  readonly limits: LinkLimits;
  /** Longest wait for an answer, unless a query says otherwise. */
  readonly queryTimeoutMs: number;
  readonly onQuery: IpcServerQueryHandler | undefined;
  /** Where the handlers of all clients' calls are set. */
  readonly calls: CallSlot;
  /** Reads the messages of all clients. */
  readonly messages: SharedInbox<IpcServerMessage>;
  readonly tally: IpcTally;
}

/**
 * One client of a server. It ends with its connection; when the same process connects again, it is
 * another. Any number of calls may be under way: messages go out in the order of the calls of
 * `write`, and the first call of `read` gets the first message.
 */
export class IpcServerClient implements AsyncIterable<IpcServerMessage>, AsyncDisposable {
  /** Free for the program's own use. */
  data: unknown = undefined;
  /** Made in the handshake: 32 hex digits, the same on both sides. */
  readonly id: string;
  /** Its address. */
  readonly remoteAddr: Address;
  /** Resolves when its connection has ended. Never rejects. */
  readonly closed: Promise<void>;
  /** @ignore between the server and its client */
  readonly inbox: Inbox<IpcServerMessage>;
  /** @ignore between the server and its client */
  readonly link: IpcLink;
  readonly #host: ClientHost;
  #isAborted = false;

  /** @ignore part of a server */
  constructor(frames: FrameLink, remoteAddr: Address, host: ClientHost) {
    const { calls, limits, messages, onQuery, tally } = host;
    const slot = new CallSlot(calls);
    slot.via = this;
    this.remoteAddr = remoteAddr;
    this.#host = host;
    this.inbox = new Inbox({
      highWaterBytes: limits.readAheadBytes,
      toMessage: (type, data) => ({ client: this, type, data }),
      shared: messages,
    });
    this.link = new IpcLink(frames, {
      limits,
      inbox: this.inbox,
      onQuery: onQuery && ((data, context) => onQuery(data, new ServerQueryContext(this, context))),
      calls: slot,
      onHandlerError: (error) => tally.handlerFailed(error, "query"),
    });
    setCallLine(this, { slot, sender: this.link });
    this.id = this.link.sessionId;
    this.closed = this.link.closed.then(() => {});
  }

  /** Whether messages and queries can be sent to it. */
  get status(): "connected" | "closing" | "closed" {
    return this.link.isOpen ? "connected" : this.inbox.ended ? "closed" : "closing";
  }

  /** Whether it takes more messages at once, live: cheap to read for each message. */
  get sending(): SendRoom {
    return this.link.sending;
  }

  /** What went over its connection. */
  stats(): IpcLinkStats {
    return this.#host.tally.linkStats(this.link);
  }

  /**
   * Writes a message. Resolves when it was accepted and `data` may be changed again; wait for that,
   * so that a slow client slows the writer.
   *
   * @throws {RangeError} when the type is not 1 to 4294967295
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE` when the client takes no message of this size
   * @throws {ClosedError} when the client has gone; `ERR_SLOW_CONSUMER` when more than
   * `maxQueuedBytes` are queued
   */
  send(type: number, data: Uint8Array | string): Promise<void> {
    return sendMessage(this.link, type, data);
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
    return sendMessages(this.link, messages);
  }

  /** Resolves when the client's process has received all that was written before. */
  flush(): Promise<void> {
    return this.link.confirm();
  }

  /**
   * Waits for this client's next message; `null` at the end. A wait that ends early loses no
   * message.
   */
  receive(options?: IpcReceiveOptions): Promise<IpcServerMessage | null> {
    return this.inbox.read(options);
  }

  /**
   * Waits for this client's messages and returns all that are here, at least one, in the order in which
   * {@linkcode receive} would return them; `null` at the end. Waits and ends as
   * {@linkcode receive} does.
   *
   * @throws as {@linkcode receive} does
   */
  receiveBatch(options?: IpcReceiveBatchOptions): Promise<IpcServerMessage[] | null> {
    return this.inbox.readBatch(options);
  }

  /** Iterates over batches to the end of the messages. */
  batches(): AsyncIterableIterator<IpcServerMessage[], undefined> {
    return iterate(() => this.inbox.readBatch());
  }

  /**
   * Asks the client. Many queries may be under way; `data` must not be changed before the answer.
   */
  query(data: Uint8Array | string, options: IpcQueryOptions = {}): Promise<Uint8Array> {
    return sendQuery(this.link, data, options, this.#host.queryTimeoutMs);
  }

  /** Iterates over this client's messages. */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcServerMessage, undefined> {
    return iterate(() => this.receive());
  }

  /**
   * Closes in order, as `IpcClient.close` does. What was received can still be read. Idempotent.
   *
   * A client connects again by itself unless it is closed `forGood`: then it ends with
   * `ERR_FORBIDDEN`. That binds the `IpcClient` of the other process only. To keep that process
   * out, change the secret.
   *
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`
   */
  close(
    options: { timeoutMs?: number | undefined; forGood?: boolean | undefined } = {},
  ): Promise<void> {
    const refused = refuseClose(options, CLIENT_CLOSE_NAMES);
    if (refused !== null) return refused;
    const { forGood = false, ...rest } = options;
    return this.link.close(forGood ? { ...rest, reason: ClosingReason.turnedOut } : rest);
  }

  /**
   * Ends now. Every wait rejects with `reason` when it is an `Error`, else with a `ClosedError`
   * `ERR_CLOSED` whose cause it is. Idempotent.
   */
  abort(reason?: unknown): void {
    this.#isAborted = true;
    this.link.abort(abortError(reason));
  }

  /**
   * The same as {@linkcode close}; after an abort it waits for {@linkcode closed}, and never
   * rejects.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#isAborted ? this.closed : this.close();
  }
}

/**
 * A query with its client. A class, so that the signal is made only for a handler that reads it.
 */
class ServerQueryContext implements IpcServerQueryContext {
  readonly client: IpcServerClient;
  readonly #context: IpcQueryContext;

  /** Joins a client and what its link knows of the query. */
  constructor(client: IpcServerClient, context: IpcQueryContext) {
    this.client = client;
    this.#context = context;
  }

  /** See {@linkcode IpcQueryContext.signal}. */
  get signal(): AbortSignal {
    return this.#context.signal;
  }
}
