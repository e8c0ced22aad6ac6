// IpcServerClient: one client of a server, as its handlers see it.
import { checkWaitNames } from "../options/names.ts";
import { checkDurationMs } from "../options/check.ts";
import type { Address } from "../net/transport/transport.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import { Inbox, type IpcReceiveOptions, iterate } from "./link/inbox.ts";
import type { IpcLink } from "./link/link.ts";
import type { IpcLinkStats } from "../stats/data/snapshots.ts";
import type { LinkEnd } from "./link/link_types.ts";
import type { IpcMessage } from "./current_link.ts";
import { ClosingReason } from "./protocol/frames.ts";
import { checkType, CLIENT_CLOSE_NAMES, refuseClose, toBytes } from "./options.ts";
import { probe } from "./probe.ts";
import type { IpcQueryContext } from "./link/query_context.ts";
import type { IpcTally } from "./observe/tally.ts";

/** A message from one of a server's clients. */
export interface IpcServerMessage extends IpcMessage {
  /** Who sent it. */
  readonly client: IpcServerClient;
}

/** What a server's query handler is given beside the data. */
export interface IpcServerQueryContext extends IpcQueryContext {
  /** Who asks. */
  readonly client: IpcServerClient;
  /** Writes a message to the client that asks, ahead of the answer, as `client.write` does. */
  write(type: number, data: Uint8Array | string): Promise<void>;
}

/** What an {@linkcode IpcServerClient} is made of. */
export interface ServerClientParts {
  readonly remoteAddr: Address;
  readonly queryTimeoutMs: number;
  readonly readAheadBytes: number;
  /** Called when a message came that no call waited for and there was none before. */
  readonly onFirst: (client: IpcServerClient) => void;
}

/**
 * One client of a server. It ends with its connection; a process that connects again is a new client.
 *
 * `write`, `read` and `query` may be called concurrently: messages and queries leave in the order of the calls, and
 * each received message goes to the call that has waited longest.
 */
export class IpcServerClient implements AsyncIterable<IpcServerMessage>, AsyncDisposable {
  /** Free for the program's own use. */
  data: unknown = undefined;
  /** Where it is. */
  readonly remoteAddr: Address;
  /** @ignore between the server and its client */
  readonly inbox: Inbox<IpcServerMessage>;
  readonly #queryTimeoutMs: number;
  #link: IpcLink | null = null;
  #tally: IpcTally | null = null;
  #closed: Promise<void> = Promise.resolve();

  /** @ignore part of a server */
  constructor(parts: ServerClientParts) {
    this.remoteAddr = parts.remoteAddr;
    this.#queryTimeoutMs = parts.queryTimeoutMs;
    this.inbox = new Inbox({
      highWaterBytes: parts.readAheadBytes,
      toMessage: (type, data) => ({ client: this, type, data }),
      onFirst: () => parts.onFirst(this),
    });
  }

  /** @ignore part of a server */
  attach(link: IpcLink, tally: IpcTally): void {
    this.#link = link;
    this.#tally = tally;
    this.#closed = link.closed.then(() => {});
  }

  /** @ignore part of a server */
  probe(): Promise<void> {
    return probe(this.#link!);
  }

  /** @ignore part of a server */
  detach(end: LinkEnd): void {
    this.inbox.end(end.error);
  }

  /** Made in the handshake: 32 hex digits, the same on both sides. */
  get id(): string {
    return this.#link!.sessionId;
  }

  /** Whether messages and queries can be sent to it. */
  get status(): "connected" | "closing" | "closed" {
    return this.#link!.isOpen ? "connected" : this.inbox.ended ? "closed" : "closing";
  }

  /** Resolves when its connection has ended. Never rejects. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** What went over its connection. */
  stats(): IpcLinkStats {
    return this.#tally!.linkStats(this.#link!);
  }

  /**
   * Writes a message; resolves when it was accepted and `data` may be changed again. Wait for it, and a slow client slows its writer.
   *
   * @throws {RangeError} when the type is not 1 to 4294967295
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE` when the client takes no message of this size
   * @throws {ClosedError} when the client has gone; `ERR_SLOW_CONSUMER` when more than `maxQueuedBytes` are queued
   */
  send(type: number, data: Uint8Array | string): Promise<void> {
    try {
      return this.#link!.write(checkType(type), toBytes("Cannot send", data));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Resolves when the client's process has received all that was written before. */
  flush(): Promise<void> {
    return this.#link!.confirm();
  }

  /** Waits for this client's next message; `null` at the end. A wait that ends early loses no message. */
  receive(options?: IpcReceiveOptions): Promise<IpcServerMessage | null> {
    return this.inbox.read(options);
  }

  /** Asks the client. Many queries may be under way; `data` must not be changed before the answer. */
  query(data: Uint8Array | string, options: IpcQueryOptions = {}): Promise<Uint8Array> {
    const { timeoutMs = this.#queryTimeoutMs, signal } = options;
    try {
      checkWaitNames("Cannot query", options);
      checkDurationMs("Cannot query", "timeoutMs", timeoutMs);
      return this.#link!.query(toBytes("Cannot query", data), timeoutMs, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Iterates over this client's messages. */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcServerMessage, undefined> {
    return iterate(() => this.receive());
  }

  /**
   * Closes in order, as `IpcClient.close` does. What was received can still be read. Idempotent.
   *
   * A client connects again by itself unless it is closed `forGood`: then it ends with `ERR_FORBIDDEN`. That binds the `IpcClient` of
   * the other process only; to keep that process out, change the secret, or close whatever it connects with.
   *
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`
   */
  close(options: { timeoutMs?: number | undefined; forGood?: boolean | undefined } = {}): Promise<void> {
    const refused = refuseClose(options, CLIENT_CLOSE_NAMES);
    if (refused !== null) return refused;
    const { forGood = false, ...rest } = options;
    return this.#link!.close(forGood ? { ...rest, reason: ClosingReason.turnedOut } : rest);
  }

  /** Ends now; whatever waits rejects with `reason`. */
  abort(reason: Error): void {
    this.#link!.abort(reason);
  }

  /** Closes in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A query with its client. A class, so that the signal is made only for a handler that looks at it. */
export class ServerQueryContext implements IpcServerQueryContext {
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

  write(type: number, data: Uint8Array | string): Promise<void> {
    return this.client.send(type, data);
  }
}
