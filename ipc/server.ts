// listenIpc(): the listening endpoint of a channel, and the messages of all its clients.
import type { CloseOptions } from "../options/close.ts";
import type { ServerState } from "../accept/server_state.ts";
import { Sweeper } from "../async/sweeper.ts";
import { ClosedError, LimitError, TimeoutError } from "../errors.ts";
import { callHook } from "../log/call_hook.ts";
import type { Address, Incoming } from "../net/transport/transport.ts";
import { checkFunction, checkInteger } from "../options/check.ts";
import { checkOptionNames } from "../options/names.ts";
import type { IpcStats } from "../stats/data/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import { setCallLine } from "./call_line.ts";
import { ClientAcceptor } from "./client_acceptor.ts";
import type { Claim } from "./endpoint/claim.ts";
import { type Endpoint, findEndpoint } from "./endpoint/endpoint.ts";
import { claimEndpoint } from "./endpoint/network.ts";
import { SecretSource } from "./endpoint/secrets.ts";
import { CallSlot } from "./link/call_slot.ts";
import { type IpcReceiveBatchOptions, type IpcReceiveOptions, iterate } from "./link/inbox.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import { probe } from "./link/pings.ts";
import { shortestMs } from "./link/watch.ts";
import { observeServer } from "./observe/server_telemetry.ts";
import { type IpcStatus, type IpcStatusEvent, StatusFeed } from "./observe/status.ts";
import { IpcTally } from "./observe/tally.ts";
import { IPC_SERVER_NAMES, type IpcServerOptions } from "./server_options.ts";
import { abortError, refuseClose, type ResolvedIpcOptions, resolveIpcOptions } from "./options.ts";
import { ClosingReason } from "./protocol/frames.ts";
import type { FrameLink } from "./secure/frame_link.ts";
import type { HandshakeReason } from "./secure/hello.ts";
import { type ClientHost, IpcServerClient, type IpcServerMessage } from "./server_client.ts";
import { type IpcRoundOptions, receiveRound, SharedInbox } from "./shared_inbox.ts";

/**
 * Listens on a channel. It takes over the socket of a server that died, and never that of a live
 * server.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {AddressError} `ERR_ADDRESS_IN_USE` when another server has the channel,
 * `ERR_ADDRESS_INVALID` when the place is not safe, `ERR_SOCKET_PATH_TOO_LONG`
 * @throws {AuthError} `ERR_FORBIDDEN` when others may read the key file
 *
 * @example Messages of all clients, as they come
 * ```ts
 * import { connectIpc, listenIpc } from "@parley/parley/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await listenIpc({ name: `doc-${Deno.pid}-b` });
 * await using client = await connectIpc({ name: server.name });
 * await client.send(1, "ping");
 * for await (const { client: from, type, data } of server) {
 *   await from.send(type + 1, data);
 *   break;
 * }
 * assertEquals((await client.receive())?.type, 2);
 * ```
 */
export async function listenIpc(options: IpcServerOptions): Promise<IpcServer> {
  checkOptionNames("Cannot listen", options, IPC_SERVER_NAMES);
  const resolved = resolveIpcOptions("Cannot listen", options);
  const { maxClients = 1000, maxPending = 100, signal } = options;
  checkInteger(resolved.action, "maxClients", maxClients, 1, 65536);
  checkInteger(resolved.action, "maxPending", maxPending, 1, 65536);
  if (options.onClient !== undefined) checkFunction(resolved.action, "onClient", options.onClient);
  if (options.onQuery !== undefined) checkFunction(resolved.action, "onQuery", options.onQuery);
  signal?.throwIfAborted();
  if (lookForTelemetry()) await loadTelemetry();
  const endpoint = await findEndpoint(resolved.action, options);
  const secrets = new SecretSource(resolved, endpoint);
  const claim = await claimEndpoint({ resolved, endpoint, secrets, tls: options.tls });
  if (signal?.aborted) {
    claim.release();
    throw signal.reason;
  }
  return new IpcServer({
    resolved,
    endpoint,
    secrets,
    claim,
    given: { ...options, maxClients, maxPending },
  });
}

/** What {@linkcode listenIpc} passes to an {@linkcode IpcServer}. */
interface ServerParts {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly claim: Claim;
  readonly given: IpcServerOptions & { readonly maxClients: number; readonly maxPending: number };
}

/**
 * The listening endpoint of a channel; {@linkcode listenIpc} makes it. Its calls may be made
 * concurrently: the first call of `read` gets the first message.
 */
export class IpcServer implements AsyncDisposable, AsyncIterable<IpcServerMessage> {
  /** Name of the channel. */
  readonly name: string;
  /** Where it listens, with the real port. */
  readonly addr: Address;
  /** Resolved: {@linkcode listenIpc} returns when the server listens, and rejects when it cannot. */
  readonly ready: Promise<void> = Promise.resolve();
  /** Resolves when the server has ended for good. Never rejects. */
  readonly finished: Promise<void>;
  readonly #parts: ServerParts;
  readonly #acceptor: ClientAcceptor;
  readonly #clients = new Map<string, IpcServerClient>();
  readonly #statuses = new StatusFeed((event) =>
    this.#parts.resolved.reporter.statusChanged(this.name, event)
  );
  readonly #sweeper = new Sweeper();
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #messages = new SharedInbox<IpcServerMessage>();
  readonly #tally: IpcTally;
  readonly #host: ClientHost;
  /** Handshakes that failed, by reason. */
  readonly #failed: Partial<Record<HandshakeReason, number>> = {};
  #close: Promise<void> | null = null;

  /** @ignore use {@linkcode listenIpc} */
  constructor(parts: ServerParts) {
    const { claim, endpoint, given, resolved, secrets } = parts;
    this.#parts = parts;
    this.#tally = new IpcTally(resolved.reporter);
    this.name = given.name;
    this.addr = endpoint.kind === "unix"
      ? { transport: "unix", path: endpoint.path }
      : claim.listener.addr;
    this.finished = this.#closed.promise;
    const { maxClients, maxPending, onQuery, signal } = given;
    const { link: limits, queryTimeoutMs } = resolved;
    const calls = new CallSlot();
    calls.via = this;
    setCallLine(this, { slot: calls, sender: undefined });
    this.#host = {
      limits,
      queryTimeoutMs,
      onQuery,
      calls,
      messages: this.#messages,
      tally: this.#tally,
    };
    this.#statuses.push("listening");
    const onFrames = (frames: FrameLink, incoming: Incoming) => this.#serve(frames, incoming);
    const tally = { counters: this.#tally.counters, failed: this.#failed };
    this.#acceptor = new ClientAcceptor({
      resolved,
      claim,
      secrets,
      maxClients,
      maxPending,
      onFrames,
      tally,
    });
    void claim.lost.then((error) => {
      resolved.reporter.report(error, "accept");
      this.abort(error);
    });
    observeServer(this);
    if (signal === undefined) return;
    const onAbort = () => void this.shutdown().catch(() => {});
    signal.addEventListener("abort", onAbort, { once: true });
    void this.finished.then(() => signal.removeEventListener("abort", onAbort));
  }

  /** `listening` while it takes clients, `draining` while it shuts down, `stopped` after that. */
  get state(): ServerState {
    if (this.status === "closed") return "stopped";
    return this.status === "closing" ? "draining" : "listening";
  }

  /** What the server is doing: `listening` without clients, `connected` with some. */
  get status(): IpcStatus {
    return this.#statuses.status;
  }

  /** Iterates over the changes of status, from the current one to the last. */
  statuses(): AsyncIterableIterator<IpcStatusEvent, undefined> {
    return this.#statuses.watch();
  }

  /** Connected clients by id. */
  get clients(): ReadonlyMap<string, IpcServerClient> {
    return this.#clients;
  }

  /** What the server has done so far, in total and by day. */
  stats(): IpcStats {
    const { name, status: state, addr: address } = this;
    const { recent } = this.#parts.resolved.reporter;
    return this.#tally.snapshot({
      role: "server",
      name,
      state,
      address,
      failed: this.#failed,
      recent,
    });
  }

  /**
   * Waits for the next message of any client, in the order of arrival. Clients with several
   * messages take turns. Resolves with `null` once the server has closed. A wait that ends early
   * loses no message.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when none came within `timeoutMs`
   */
  receive(options: IpcReceiveOptions = {}): Promise<IpcServerMessage | null> {
    return this.#messages.read(options);
  }

  /**
   * Waits for messages of any client and returns all that are here, at least one, in the order in which
   * {@linkcode receive} would return them; `null` at the end. Waits and ends as
   * {@linkcode receive} does.
   *
   * @throws as {@linkcode receive} does
   */
  receiveBatch(options?: IpcReceiveBatchOptions): Promise<IpcServerMessage[] | null> {
    return this.#messages.readBatch(options);
  }

  /** Iterates over batches to the end of the messages. */
  batches(): AsyncIterableIterator<IpcServerMessage[], undefined> {
    return iterate(() => this.#messages.readBatch());
  }

  /**
   * Waits until each current client has sent a message, and takes one of each. At the time limit it
   * resolves with the messages that have come. Clients that leave are left out. It takes nothing
   * before it resolves, so a wait that ends early loses no message.
   */
  receiveRound(options: IpcRoundOptions = {}): Promise<IpcServerMessage[]> {
    return receiveRound(Array.from(this.#clients.values(), ({ inbox }) => inbox), options);
  }

  /**
   * Writes a message to every client. Resolves when it was accepted for all. Clients that leave
   * meanwhile are left out.
   */
  async send(type: number, data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const writes = [...this.#clients.values()].map((client) => client.send(type, bytes));
    for (const result of await Promise.allSettled(writes)) {
      if (result.status === "rejected" && !(result.reason instanceof ClosedError)) {
        throw result.reason;
      }
    }
  }

  /**
   * Asks the only client. With several clients, call `query` of one of them.
   *
   * @throws {ClosedError} when there is no client
   * @throws {TypeError} when there are several
   */
  query(data: Uint8Array | string, options?: IpcQueryOptions): Promise<Uint8Array> {
    const [client, second] = this.#clients.values();
    if (second !== undefined) {
      return Promise.reject(
        new TypeError(`Cannot query: there must be one client, there are ${this.#clients.size}`),
      );
    }
    if (client === undefined) {
      return Promise.reject(new ClosedError("ERR_CLOSED", "Cannot query: there is no client"));
    }
    return client.query(data, options);
  }

  /** Iterates over the messages of all clients, as {@linkcode read} returns them. */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcServerMessage, undefined> {
    return iterate(() => this.receive());
  }

  /** Lets the process live while the server listens (the default). */
  ref(): void {
    this.#parts.claim.listener.ref();
  }

  /** Lets the process end although the server listens. Connected clients keep it alive. */
  unref(): void {
    this.#parts.claim.listener.unref();
  }

  /**
   * Closes in order: lets no more clients in, closes every client as `IpcServerClient.close` does,
   * and frees the channel. What was received can still be read. Idempotent.
   *
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`; it counts
   * what was cut
   */
  shutdown(options: CloseOptions = {}): Promise<void> {
    const refused = refuseClose(options);
    if (refused !== null) return refused;
    this.#close ??= this.#drain(options);
    this.#close.catch(() => {});
    return this.#close;
  }

  /**
   * Ends now: frees the channel, and cuts every client. Every wait at a client rejects with
   * `reason` when it is an `Error`, else with a `ClosedError` `ERR_CLOSED` whose cause it is.
   * {@linkcode finished} resolves when it is done. Idempotent.
   */
  abort(reason?: unknown): void {
    this.#acceptor.stop();
    const error = abortError(reason);
    for (const client of this.#clients.values()) client.abort(error);
    void this.shutdown().catch(() => {});
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /** Serves one client to its end. Never rejects. */
  async #serve(frames: FrameLink, { remoteAddr }: Incoming): Promise<void> {
    const { resolved, given: { maxClients, onClient } } = this.#parts;
    const client = new IpcServerClient(frames, remoteAddr, this.#host);
    const { link } = client;
    if (this.#clients.size >= maxClients) await this.#probeClients();
    if (this.#close !== null || this.#clients.size >= maxClients) {
      return await this.#turnAway(client);
    }
    this.#clients.set(client.id, client);
    this.#tally.opened(link, remoteAddr);
    if (this.#clients.size === 1) this.#statuses.push("connected");
    // Before the link reads: the hook may prepare what the handler of queries needs.
    if (onClient !== undefined) {
      callHook(() => onClient(client), (error) => this.#tally.handlerFailed(error, "client"));
    }
    link.start();
    this.#sweeper.add(link, shortestMs(resolved.link));
    const { error, unsentBytes } = await link.closed;
    this.#sweeper.remove(link);
    this.#clients.delete(client.id);
    client.inbox.end(error);
    if (this.#clients.size === 0 && this.#close === null) {
      this.#statuses.push("listening", { error: error ?? undefined, unsentBytes });
    }
  }

  /** Ends the links of clients that have gone while the program did not read. */
  async #probeClients(): Promise<void> {
    await Promise.all(Array.from(this.#clients.values(), ({ link }) => probe(link)));
  }

  async #turnAway({ inbox, link }: IpcServerClient): Promise<void> {
    const { resolved, given: { maxClients } } = this.#parts;
    const reason = this.#close !== null ? ClosingReason.done : ClosingReason.busy;
    if (reason === ClosingReason.busy) resolved.reporter.report(serverFull(maxClients), "refused");
    this.#tally.counters.connectionsRefused++;
    await link.refuse(reason, resolved.handshakeTimeoutMs).catch(() => {});
    inbox.end(null);
  }

  async #drain(options: CloseOptions): Promise<void> {
    this.#statuses.push("closing");
    this.#acceptor.stop();
    const closing = [...this.#clients.values()].map((client) => client.close(options));
    const failures = (await Promise.allSettled(closing)).filter((result) =>
      result.status === "rejected"
    );
    await this.#acceptor.finished();
    this.#messages.end();
    const late = failures.map(({ reason }) => reason).filter((reason) =>
      reason instanceof TimeoutError
    );
    this.#tally.stop();
    this.#statuses.push("closed", late.length === 0 ? {} : { error: late[0] });
    this.#closed.resolve();
    if (late.length === 0) return;
    const cutBytes = late.reduce((sum, { cutBytes }) => sum + cutBytes, 0);
    throw new TimeoutError(
      "ERR_DRAIN_TIMEOUT",
      `Cannot shut down in order: ${late.length} clients took too long`,
      {
        cutConnections: late.length,
        cutBytes,
      },
    );
  }
}

function serverFull(maxClients: number): LimitError {
  return new LimitError(
    "ERR_TOO_MANY_CONNECTIONS",
    `Cannot let a client in: the server is full: as many are connected as "maxClients" allows, ${maxClients}: raise it`,
  );
}
