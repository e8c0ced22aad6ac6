// connectIpc(): the side that connects, and keeps its connection up.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { RECONNECT_NAMES } from "../client/option_names.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { CLIENT_TLS_NAMES } from "../tls/option_names.ts";
import { IPC_COMMON_NAMES } from "./option_names.ts";
import { Backoff, type ReconnectOptions } from "../async/backoff.ts";
import { pause } from "../async/pause.ts";
import { ClosedError, ParleyError, TimeoutError } from "../errors.ts";
import { checkDurationMs } from "../options/check.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import { type Endpoint, findEndpoint } from "./endpoint/endpoint.ts";
import { ChannelParts, IpcChannel } from "./channel.ts";
import { openLink } from "./connect.ts";
import type { Failure } from "./connect_failures.ts";
import type { IpcQueryHandler } from "./link/options.ts";
import { type IpcCommonOptions, type ResolvedIpcOptions, resolveIpcOptions } from "./options.ts";
import { SecretSource } from "./endpoint/secrets.ts";
import type { IpcStatus } from "./observe/status.ts";

/**
 * How an IPC client or pair connects again. All delays are short: the other side is on the same
 * machine.
 */
export type IpcReconnectOptions = ReconnectOptions;

/** Options of {@linkcode connectIpc}. */
export interface IpcClientOptions extends IpcCommonOptions {
  /**
   * TLS beneath the handshake: which servers to trust. Over a unix socket the server's name is
   * `localhost` unless `serverName` says otherwise.
   */
  tls?: ClientTlsOptions | undefined;
  /**
   * Longest time in ms for the first connection, over all attempts; 0 keeps trying.
   *
   * @default {10000}
   */
  connectTimeoutMs?: number | undefined;
  /**
   * `false` to connect once, or how to connect again.
   *
   * @default {delays of 20 to 1000 ms, without end}
   */
  reconnect?: false | IpcReconnectOptions | undefined;
  /** Answers the server's queries. */
  onQuery?: IpcQueryHandler | undefined;
  /** Its abort closes in order. While connecting, the attempt rejects with the signal's reason. */
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
 * Connects to the server of a channel, and connects again after each loss. Waits for a server that
 * has not started yet.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when no server was there within `connectTimeoutMs`;
 * `ERR_HANDSHAKE_TIMEOUT` when a program was there and did not answer
 * @throws {AuthError} `ERR_AUTH` when the server does not accept the secret of this side or cannot
 * prove that it knows it; `ERR_FORBIDDEN` when others may read the key file
 * @throws {AddressError} `ERR_NOT_OUR_PROTOCOL` when another program is there,
 * `ERR_ADDRESS_INVALID` when the place is not safe
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

/** What {@linkcode connectIpc} passes to an {@linkcode IpcClient}. */
interface ClientParts {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly backoff: Backoff | null;
  readonly given: IpcClientOptions;
}

/**
 * The connecting endpoint of a channel; {@linkcode connectIpc} makes it. Its calls may be made
 * concurrently.
 */
export class IpcClient extends IpcChannel {
  readonly #dial: ClientParts;
  readonly #parts: ChannelParts;
  /** Resolves when no attempt to connect again is under way any more. */
  #keeping: Promise<void> = Promise.resolve();

  /** @ignore use {@linkcode connectIpc} */
  constructor(dial: ClientParts) {
    const parts = new ChannelParts(dial.resolved, dial.given.onQuery);
    super("client", parts);
    this.#dial = dial;
    this.#parts = parts;
  }

  /** 32 hex digits that both sides of the current connection share; `null` without one. */
  get sessionId(): string | null {
    return this.#parts.current.link?.sessionId ?? null;
  }

  /** @ignore part of {@linkcode connectIpc} */
  async start(connectTimeoutMs: number): Promise<void> {
    const { signal } = this.#dial.given;
    const stop = (reason: unknown) => this.#parts.stopping.abort(reason);
    const onAbort = () => stop(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const late = connectTimeout(this.#dial.endpoint, connectTimeoutMs);
    const timer = connectTimeoutMs > 0 ? setTimeout(() => stop(late), connectTimeoutMs) : undefined;
    this.#parts.statuses.push("connecting");
    try {
      await this.#connect({ first: true });
    } catch (error) {
      this.#end(error === late ? "timed-out" : "error", error as Error);
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    this.#parts.closeOnAbort(signal, () => this.close());
    this.#keeping = this.#keepUp();
  }

  /** Tries until a link is up; throws the error that ends the attempts. */
  async #connect({ first }: { first: boolean }): Promise<void> {
    const { given, backoff } = this.#dial;
    const { linkOptions, tally, stopping: { signal } } = this.#parts;
    // The first connection is limited by its time, not by a number of attempts.
    const delays = first || backoff === null
      ? new Backoff({ ...RECONNECT_DEFAULTS, ...given.reconnect, maxAttempts: Infinity })
      : backoff;
    for (;;) {
      let failure: Failure;
      try {
        const link = await openLink({ ...this.#dial, tls: given.tls, linkOptions, tally }, signal);
        if (signal.aborted) {
          link.abort(signal.reason);
          throw signal.reason;
        }
        backoff?.connected(performance.now());
        this.#parts.attach(link);
        return;
      } catch (error) {
        if (signal.aborted) throw withCause(signal.reason, error);
        failure = this.#parts.repeatedFailure.classify(error, { first, limited: true });
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
    const { backoff } = this.#dial;
    for (;;) {
      const end = await this.#parts.watch(this.#parts.current.link!);
      if (this.#parts.isClosing || this.#parts.stopping.signal.aborted) return;
      const details = { error: end.error ?? undefined, unsentBytes: end.unsentBytes };
      if (backoff === null) {
        this.#parts.statuses.push("disconnected", details);
        this.#end("disconnected", end.error);
        return;
      }
      // The server turned this client out, and would do so again.
      if (isPermanentFailure(end.error)) return this.#endForGood(end.error!);
      this.#parts.statuses.push("reconnecting", details);
      try {
        const delayMs = backoff.failed(end.error, performance.now(), Math.random());
        if (delayMs === null) throw end.error ?? new Error("Cannot reconnect");
        await pause(delayMs, this.#parts.stopping.signal);
        if (this.#parts.stopping.signal.aborted) return;
        await this.#connect({ first: false });
      } catch (error) {
        if (!this.#parts.stopping.signal.aborted) this.#endForGood(error as Error);
        return;
      }
    }
  }

  /** No call waits for it: what ended it is reported. */
  #endForGood(error: Error): void {
    this.#parts.resolved.reporter.report(error, "connect");
    this.#end("error", error);
  }

  /** @ignore ends attempts to connect, and the channel */
  protected async leave(status: IpcStatus, error: Error | null): Promise<void> {
    this.#end(status, error);
    await this.#keeping; // an attempt may still use the place of the channel
  }

  #end(status: IpcStatus, error: Error | null): void {
    this.#parts.stopping.abort(
      error ?? new ClosedError("ERR_CLOSED", "Cannot connect: the client was closed"),
    );
    this.#parts.end(status, error);
  }
}

function connectTimeout(endpoint: Endpoint, timeoutMs: number): TimeoutError {
  const where = endpoint.kind === "unix" ? `"${endpoint.path}"` : `${endpoint.hostname}:${endpoint.port}`;
  return new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot connect to ${where} within ${timeoutMs} ms`);
}

/** Adds the last failure to the error of a time limit, because it says what was wrong. */
function withCause(reason: unknown, cause: unknown): unknown {
  if (reason instanceof ParleyError && cause !== reason && reason.cause === undefined) {
    Object.defineProperty(reason, "cause", { value: cause, configurable: true, writable: true });
  }
  return reason;
}
