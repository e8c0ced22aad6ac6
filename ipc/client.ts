// connectIpc(): the side that connects, and keeps its connection up.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { RECONNECT_NAMES } from "../client/option_names.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { CLIENT_TLS_NAMES } from "../tls/option_names.ts";
import { IPC_COMMON_NAMES } from "./option_names.ts";
import { Backoff, type ReconnectOptions } from "../async/backoff.ts";
import { keepConnected, type LinkEnd, type LoopEnd } from "../async/keep_connected.ts";
import { ParleyError, TimeoutError } from "../errors.ts";
import { checkDurationMs } from "../options/check.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import { type Endpoint, findEndpoint } from "./endpoint/endpoint.ts";
import { ChannelParts, IpcChannel } from "./channel.ts";
import { openLink } from "./connect.ts";
import type { IpcLink } from "./link/link.ts";
import type { IpcQueryHandler } from "./link/query_context.ts";
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

const RECONNECT_DEFAULTS: IpcReconnectOptions = {
  minDelayMs: 20,
  maxDelayMs: 1000,
  healthyAfterMs: 5000,
};

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
    const connected = Promise.withResolvers<null>();
    const loop = this.#runConnectLoop(() => connected.resolve(null));
    const end = await Promise.race([connected.promise, loop]);
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    if (end !== null) {
      const error = errorOf(end, this.#parts.stopping.signal);
      this.#end(error === late ? "timed-out" : "error", error as Error);
      throw error;
    }
    this.#parts.closeOnAbort(signal, () => this.close());
    this.#keeping = loop.then((end) => this.#onLoopEnd(end));
  }

  /** Keeps a link up, and calls `onUp` for each. Resolves with why it ended. Never rejects. */
  async #runConnectLoop(onUp: () => void): Promise<LoopEnd> {
    const { given, backoff } = this.#dial;
    const { linkOptions, tally, repeatedFailure, stopping: { signal } } = this.#parts;
    return await keepConnected<IpcLink>({
      signal,
      backoff,
      // The first connection is limited by its time, not by a number of attempts.
      firstBackoff: new Backoff({
        ...RECONNECT_DEFAULTS,
        ...given.reconnect,
        maxAttempts: Infinity,
      }),
      connect: () => openLink({ ...this.#dial, tls: given.tls, linkOptions, tally }, signal),
      discard: (link) => link.abort(signal.reason),
      use: (link) => this.#use(link, onUp),
      classify: ({ phase, isFirst, error }) => {
        // The server turned this client out, and would do so again.
        if (phase === "link") return { error, isPermanent: isPermanentFailure(error) };
        const failure = repeatedFailure.classify(error, { first: isFirst, limited: true });
        return { error: failure.error, isPermanent: failure.final, delayMs: failure.delayMs };
      },
      onRetry: () => {}, // RepeatedFailure logs attempts that failed
    });
  }

  /** Uses a link until it ends. */
  async #use(link: IpcLink, onUp: () => void): Promise<LinkEnd> {
    const { statuses, stopping: { signal } } = this.#parts;
    this.#parts.attach(link);
    onUp();
    const { error, unsentBytes } = await this.#parts.watch(link);
    const details = { error: error ?? undefined, unsentBytes };
    if (signal.aborted) return { error, wasUsed: false };
    if (this.#dial.backoff === null) statuses.push("disconnected", details);
    else if (!isPermanentFailure(error)) statuses.push("reconnecting", details);
    return { error, wasUsed: false };
  }

  /** No call waits for another link: what ended the attempts is reported. */
  #onLoopEnd(end: LoopEnd): void {
    if (end.kind === "aborted") return;
    if (end.kind === "notRetried") return this.#end("disconnected", end.error as Error | null);
    const error = errorOf(end, this.#parts.stopping.signal) as Error | null ??
      new Error("Cannot reconnect");
    this.#parts.resolved.reporter.report(error, "connect");
    this.#end("error", error);
  }

  /** @ignore ends attempts to connect, and the channel */
  protected async leave(status: IpcStatus, error: Error | null): Promise<void> {
    this.#end(status, error);
    await this.#keeping; // an attempt may still use the place of the channel
  }

  #end(status: IpcStatus, error: Error | null): void {
    this.#parts.stop(error);
    this.#parts.end(status, error);
  }
}

function connectTimeout(endpoint: Endpoint, timeoutMs: number): TimeoutError {
  const where = endpoint.kind === "unix"
    ? `"${endpoint.path}"`
    : `${endpoint.hostname}:${endpoint.port}`;
  return new TimeoutError(
    "ERR_CONNECT_TIMEOUT",
    `Cannot connect to ${where} within ${timeoutMs} ms`,
  );
}

/** Returns the error to end with. */
function errorOf(end: LoopEnd, { reason }: AbortSignal): unknown {
  switch (end.kind) {
    case "aborted":
      return withCause(reason, end.error);
    case "policyFailed":
      return end.mistake;
    default:
      return end.error;
  }
}

/** Adds the last failure to the error of a time limit, because it says what was wrong. */
function withCause(reason: unknown, cause: unknown): unknown {
  if (
    reason instanceof ParleyError && cause !== undefined && cause !== reason &&
    reason.cause === undefined
  ) {
    Object.defineProperty(reason, "cause", { value: cause, configurable: true, writable: true });
  }
  return reason;
}
