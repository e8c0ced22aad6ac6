// connectIpc(): the side that connects, and keeps its connection up.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { RECONNECT_NAMES } from "../client/option_names.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { CLIENT_TLS_NAMES } from "../tls/option_names.ts";
import { IPC_COMMON_NAMES } from "./option_names.ts";
import { Backoff, type ReconnectOptions } from "../async/backoff.ts";
import { sharedSweeper } from "../async/sweeper.ts";
import { pause } from "../async/pause.ts";
import { ClosedError, ParleyError, TimeoutError } from "../errors.ts";
import { checkDurationMs } from "../options/check.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import { type Endpoint, findEndpoint } from "./endpoint/endpoint.ts";
import type { IpcReceiveOptions } from "./link/inbox.ts";
import { iterate } from "./link/inbox.ts";
import type { IpcStats } from "../stats/data/snapshots.ts";
import type { LinkEnd } from "./link/link_types.ts";
import { type IpcMessage, LinkSlot } from "./current_link.ts";
import { type IpcQueryHandler, openLink } from "./connect.ts";
import { type IpcCommonOptions, refuseClose, type ResolvedIpcOptions, resolveIpcOptions } from "./options.ts";
import { SecretSource } from "./endpoint/secrets.ts";
import { shortestMs } from "./link/shortest.ts";
import { type IpcStatus, type IpcStatusEvent, StatusFeed } from "./observe/status.ts";
import { type Failure, Suspicion } from "./connect_failures.ts";

/** How an IPC client or pair connects again. All delays are short: the other side is on the same machine. */
export type IpcReconnectOptions = ReconnectOptions;

/** Options of {@linkcode connectIpc}. */
export interface IpcClientOptions extends IpcCommonOptions {
  /** TLS beneath the handshake: whom we trust. Over a unix socket the server's name is `localhost` unless `serverName` says otherwise. */
  tls?: ClientTlsOptions | undefined;
  /** Longest time in ms until connected, however often that is tried; 0 keeps trying. @default {10000} */
  connectTimeoutMs?: number | undefined;
  /** `false` to connect once, or how to connect again. @default {delays of 20 to 1000 ms, for ever} */
  reconnect?: false | IpcReconnectOptions | undefined;
  /** Answers the server's queries. */
  onQuery?: IpcQueryHandler | undefined;
  /** Abort closes in order; while connecting it gives up with the signal's reason. */
  signal?: AbortSignal | undefined;
}

const NAMES: OptionNames<IpcClientOptions> = {
  ...IPC_COMMON_NAMES,
  tls: CLIENT_TLS_NAMES,
  connectTimeoutMs: true,
  reconnect: RECONNECT_NAMES,
  onQuery: true,
  signal: true,
};

const RECONNECT_DEFAULTS: IpcReconnectOptions = { minDelayMs: 20, maxDelayMs: 1000, healthyAfterMs: 5000 };

/**
 * Connects to the server of a channel, waiting for it to start if need be, and keeps the connection up.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when no server was there within `connectTimeoutMs`; `ERR_HANDSHAKE_TIMEOUT`
 * when something was there and did not answer
 * @throws {AuthError} `ERR_AUTH` when the server does not accept our secret or cannot prove that it knows it; `ERR_FORBIDDEN`
 * when others may read the key file
 * @throws {AddressError} `ERR_NOT_OUR_PROTOCOL` when another program is there, `ERR_ADDRESS_INVALID` when the place is not safe
 * @throws {RemoteError} `ERR_BUSY` when the server takes no more clients
 *
 * @example
 * ```ts
 * import { connectIpc, listenIpc } from "@parley/parley/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await listenIpc({ name: `doc-${Deno.pid}-a`, onQuery: (data) => data.toReversed() });
 * await using client = await connectIpc({ name: server.name });
 * assertEquals(await client.query(new Uint8Array([1, 2, 3])), new Uint8Array([3, 2, 1]));
 *
 * await client.send(7, "hello");
 * const message = await server.receive({ timeoutMs: 5000 });
 * assertEquals([message?.type, new TextDecoder().decode(message?.data)], [7, "hello"]);
 * ```
 */
export async function connectIpc(options: IpcClientOptions): Promise<IpcClient> {
  checkOptionNames("Cannot connect", options, NAMES);
  const resolved = resolveIpcOptions("Cannot connect", options);
  const { connectTimeoutMs = 10_000, reconnect = {}, signal } = options;
  checkDurationMs(resolved.action, "connectTimeoutMs", connectTimeoutMs, { allowOff: true });
  const backoff = reconnect === false ? null : new Backoff({ ...RECONNECT_DEFAULTS, ...reconnect });
  signal?.throwIfAborted();
  if (lookForTelemetry()) await loadTelemetry();
  const endpoint = await findEndpoint(resolved.action, options);
  const secrets = new SecretSource(resolved, endpoint);
  const client = new IpcClient({ resolved, endpoint, secrets, backoff, given: options });
  await client.start(connectTimeoutMs);
  return client;
}

/** What an {@linkcode IpcClient} is made of. */
interface ClientParts {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly backoff: Backoff | null;
  readonly given: IpcClientOptions;
}

/**
 * The connecting side of a channel; {@linkcode connectIpc} makes it.
 *
 * `write`, `read` and `query` may be called concurrently: messages and queries leave in the order of the calls, and
 * each received message goes to the call that has waited longest.
 */
export class IpcClient implements AsyncDisposable, AsyncIterable<IpcMessage> {
  /** Name of the channel. */
  readonly name: string;
  /** Resolves when the client has ended for good. Never rejects. */
  readonly closed: Promise<void>;
  readonly #parts: ClientParts;
  readonly #slot: LinkSlot;
  readonly #statuses = new StatusFeed((event) => this.#parts.resolved.reporter.told(this.name, event));
  readonly #suspicion: Suspicion;
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Aborts attempts and pauses. */
  readonly #stopping = new AbortController();
  /** Resolves when no attempt to connect again is under way any more. */
  #keeping: Promise<void> = Promise.resolve();
  #close: Promise<void> | null = null;

  /** @ignore use {@linkcode connectIpc} */
  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.name = parts.given.name;
    this.closed = this.#closed.promise;
    this.#slot = new LinkSlot(parts.resolved);
    this.#suspicion = new Suspicion(this.name, parts.resolved.reporter);
  }

  /** What the client is doing. */
  get status(): IpcStatus {
    return this.#statuses.status;
  }

  /** 32 hex digits that both sides of the current connection share; `null` without one. */
  get sessionId(): string | null {
    return this.#slot.link?.sessionId ?? null;
  }

  /** Iterates over the changes of status, from the current one to the last. */
  statuses(): AsyncIterableIterator<IpcStatusEvent, undefined> {
    return this.#statuses.watch();
  }

  /** What it has done so far, over all connections and by day. */
  stats(): IpcStats {
    const { name, status: state } = this;
    const { recent } = this.#parts.resolved.reporter;
    return this.#slot.tally.snapshot({ role: "client", name, state, address: null, failed: {}, recent });
  }

  /**
   * Writes a message. Resolves when it was accepted and `data` may be changed again; wait for it, and a slow reader slows the writer.
   * While reconnecting it waits for the connection. Whether it arrived, {@linkcode flush} tells.
   *
   * @param type 1 to 4294967295, as both sides agree
   * @throws {RangeError} when the type is out of range
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE` when the server takes no message of this size
   * @throws {ClosedError} when the connection was lost or closed; `ERR_SLOW_CONSUMER` when more than `maxQueuedBytes` are queued
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when there was no connection for `writeTimeoutMs`
   */
  send(type: number, data: Uint8Array | string): Promise<void> {
    return this.#slot.send(type, data);
  }

  /**
   * Resolves when the server's process has received all that was written before. Rejects, once for each loss, when a connection
   * was lost with messages that may not have arrived.
   *
   * @throws {ClosedError} `ERR_RESET`
   */
  flush(): Promise<void> {
    return this.#slot.flush();
  }

  /**
   * Waits for the next message; `null` at the end. A wait that ends early loses no message.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when none came within `timeoutMs`
   */
  receive(options?: IpcReceiveOptions): Promise<IpcMessage | null> {
    return this.#slot.receive(options);
  }

  /**
   * Asks the server. Many queries may be under way; `data` must not be changed before the answer. An empty answer is an answer.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when no answer came in time, `ERR_CONNECT_TIMEOUT` when there was no connection
   * @throws {RemoteError} when the server's handler failed: its code, `ERR_HANDLER` mostly, `ERR_NO_HANDLER` without one
   * @throws {ClosedError} when the connection was lost; the query may have been answered or not
   */
  query(data: Uint8Array | string, options?: IpcQueryOptions): Promise<Uint8Array> {
    return this.#slot.query(data, options);
  }

  /** Iterates over the messages, across reconnects. */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcMessage, undefined> {
    return iterate(() => this.receive());
  }

  /**
   * Closes in order: answers what was asked, waits for answers, hands over what was written, and waits until the server has it. What
   * was received can still be read. Idempotent.
   *
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`
   * @throws {ClosedError} when the connection was lost before the server had everything
   */
  close(options: { timeoutMs?: number | undefined } = {}): Promise<void> {
    const refused = refuseClose(options);
    if (refused !== null) return refused;
    this.#close ??= this.#drain(options);
    this.#close.catch(() => {});
    return this.#close;
  }

  /** Ends now; whatever waits rejects with `reason`. */
  abort(reason: Error): void {
    this.#stopping.abort(reason);
    this.#slot.link?.abort(reason);
    this.#end("error", reason);
  }

  /** Closes in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @ignore part of {@linkcode connectIpc} */
  async start(connectTimeoutMs: number): Promise<void> {
    const { signal } = this.#parts.given;
    const stop = (reason: unknown) => this.#stopping.abort(reason);
    const onAbort = () => stop(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const late = connectTimeout(this.#parts.endpoint, connectTimeoutMs);
    const timer = connectTimeoutMs > 0 ? setTimeout(() => stop(late), connectTimeoutMs) : undefined;
    this.#statuses.push("connecting");
    try {
      await this.#connect({ first: true });
    } catch (error) {
      this.#end(error === late ? "timed-out" : "error", error as Error);
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    this.#closeOnAbort(signal);
    this.#keeping = this.#keepUp();
  }

  #closeOnAbort(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const close = () => void this.close().catch(() => {});
    signal.addEventListener("abort", close, { once: true });
    void this.closed.then(() => signal.removeEventListener("abort", close));
  }

  /** Tries until a link is up; throws what ends the trying. */
  async #connect({ first }: { first: boolean }): Promise<void> {
    const { given, backoff } = this.#parts;
    const { signal } = this.#stopping;
    // At first the time is what limits the attempts.
    const delays = first || backoff === null
      ? new Backoff({ ...RECONNECT_DEFAULTS, ...given.reconnect, maxAttempts: Infinity })
      : backoff;
    for (;;) {
      let failure: Failure;
      try {
        const link = await openLink({
          ...this.#parts,
          tls: given.tls,
          onQuery: given.onQuery,
          slot: this.#slot,
        }, signal);
        if (signal.aborted) {
          link.abort(signal.reason);
          throw signal.reason;
        }
        this.#suspicion.clear();
        backoff?.connected(performance.now());
        this.#slot.attach(link);
        this.#statuses.push("connected");
        return;
      } catch (error) {
        if (signal.aborted) throw withCause(signal.reason, error);
        failure = this.#suspicion.judge(error, { first, limited: true });
      }
      if (failure.final) throw failure.error;
      const delayMs = failure.delayMs ?? delays.failed(failure.error, performance.now(), Math.random());
      if (delayMs === null) throw failure.error;
      await pause(delayMs, signal);
      if (signal.aborted) throw withCause(signal.reason, failure.error);
    }
  }

  /** Watches the link, and connects again when it is lost. */
  async #keepUp(): Promise<void> {
    const { backoff } = this.#parts;
    for (;;) {
      const end = await this.#watchLink();
      if (this.#close !== null || this.#stopping.signal.aborted) return;
      const details = { error: end.error ?? undefined, unsentBytes: end.unsentBytes };
      if (backoff === null) {
        this.#statuses.push("disconnected", details);
        this.#end("disconnected", end.error);
        return;
      }
      // The server turned this client out: it would do so again.
      if (isPermanentFailure(end.error)) return this.#endForGood(end.error!);
      this.#statuses.push("reconnecting", details);
      try {
        const delayMs = backoff.failed(end.error, performance.now(), Math.random());
        if (delayMs === null) throw end.error ?? new Error("Cannot reconnect");
        await pause(delayMs, this.#stopping.signal);
        if (this.#stopping.signal.aborted) return;
        await this.#connect({ first: false });
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#endForGood(error as Error);
        return;
      }
    }
  }

  /** Resolves when the current link has ended, and takes it out. */
  async #watchLink(): Promise<LinkEnd> {
    const link = this.#slot.link!;
    const stopSweeping = sharedSweeper.add(
      (nowMs) => link.tick(nowMs),
      shortestMs(this.#parts.resolved.link),
    );
    const end = await link.closed;
    stopSweeping();
    this.#slot.detach(end);
    return end;
  }

  async #drain(options: { timeoutMs?: number | undefined }): Promise<void> {
    const link = this.#slot.link;
    this.#statuses.push("closing");
    this.#slot.refuse(null);
    try {
      await link?.close(options);
      this.#stopping.abort(new ClosedError("ERR_CLOSED", "Cannot connect: the client was closed"));
      this.#end("closed", null);
    } catch (error) {
      this.#end("closed", error as Error);
      throw error;
    } finally {
      await this.#keeping; // an attempt may be looking at the place
    }
  }

  /** No caller waits for it: what ended it is reported. */
  #endForGood(error: Error): void {
    this.#parts.resolved.reporter.report(error, "connect");
    this.#end("error", error);
  }

  #end(status: IpcStatus, error: Error | null): void {
    this.#stopping.abort(error);
    this.#slot.end(error);
    this.#statuses.push(status, error === null ? {} : { error });
    this.#closed.resolve();
  }
}

function connectTimeout(endpoint: Endpoint, timeoutMs: number): TimeoutError {
  const where = endpoint.kind === "unix" ? `"${endpoint.path}"` : `${endpoint.hostname}:${endpoint.port}`;
  return new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot connect to ${where} within ${timeoutMs} ms`);
}

/** Tells beside the end of the time what was wrong all along. */
function withCause(reason: unknown, cause: unknown): unknown {
  if (reason instanceof ParleyError && cause !== reason && reason.cause === undefined) {
    Object.defineProperty(reason, "cause", { value: cause, configurable: true, writable: true });
  }
  return reason;
}
