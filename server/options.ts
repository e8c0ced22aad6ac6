// Options of serve(): what they are, their defaults, and their check before any I/O.
import type { ServerState } from "../accept/server_state.ts";
import type { Connection } from "../connection.ts";
import {
  type ConnectionOptions,
  resolveConnectionOptions,
  type ResolvedConnectionOptions,
} from "../connection/options.ts";
import type { ConnectionEnd, Traffic } from "../connection/types.ts";
import type { AdmissionOptions } from "../limits/admission_options.ts";
import type { DoorPlan } from "../accept/door.ts";
import { resolveListen } from "../accept/listen_options.ts";
import type { ListenPlan } from "../accept/listening.ts";
import { checkDurationMs, checkFunction, checkInteger } from "../options/check.ts";
import type { PenaltiesOptions } from "../limits/penalties.ts";
import type { ProxyProtocolOptions } from "../net/transport/proxy_sources.ts";
import type { RateLimitsOptions } from "../limits/rate_limits.ts";
import type { SourceExemptionsOptions } from "../limits/source_exemptions.ts";
import { consoleLogger, type Logger } from "../log/logger.ts";
import type { Address, KeepAlive } from "../net/transport/transport.ts";
import type { ClosedLogOptions } from "../stats/data/closed_log.ts";
import type { ServerTlsOptions } from "../tls/handshake/options.ts";

/**
 * How many connections that have ended are kept, and for how long; see `Server.closedConnections`.
 */
export interface ClosedConnectionsOptions {
  /**
   * Connections that are kept, 0 to 16777216; the oldest go first. One takes some 600 bytes of
   * memory.
   *
   * @default {10000} 6 MB at most
   */
  readonly maxConnections?: number | undefined;
  /** Time that one is kept, in milliseconds. @default {3600000, an hour} */
  readonly maxAgeMs?: number | undefined;
}

/** Where in a server an error came up. */
export interface ServeErrorContext<Data = unknown> {
  /**
   * `"listen"`: the server cannot run, and its caller has asked neither for `ready` nor for
   * `finished`. `"accept"`: the kernel refused a connection, the server goes on. `"refused"`: a
   * limit refused a connection; the error names the limit (reported once in ten seconds for each
   * reason). `"handshake"`: a client failed its handshake, or left in the midst of it, or its time
   * for it ran out. `"connection"`: a connection ended by its peer's fault, of which its handler
   * did not complain. `"handler"`: the handler threw. `"close"`: what had been accepted for sending
   * could not be written. `"hook"`: a hook threw. `"drain"`: a shutdown asked for by the signal had
   * to cut. `"certificates"`: new certificate files cannot be used, the old ones stay in force; or
   * a certificate ends soon or has ended (`ERR_CERT_EXPIRING`, `ERR_CERT_EXPIRED`).
   *
   * `"accept"`, `"handshake"` and `"connection"`, which strangers can bring about, are reported at
   * most ten times a second, each.
   */
  readonly phase:
    | "listen"
    | "accept"
    | "refused"
    | "handshake"
    | "connection"
    | "handler"
    | "close"
    | "hook"
    | "drain"
    | "certificates";
  /** The connection, where there is one. */
  readonly connection?: Connection<Data> | undefined;
  /** The far end, where there is one. */
  readonly remoteAddr?: Address | undefined;
}

/** What a new connection is known by before there is a {@linkcode Connection}. */
export interface IncomingInfo {
  /** The near end. */
  readonly localAddr: Address;
  /** The far end. */
  readonly remoteAddr: Address;
}

/**
 * What is called as a server lives. The error of a hook goes to `onError` and changes nothing else.
 */
export interface ServeHooks<Data = unknown> {
  /** The server listens. */
  onListen?: ((addr: Address) => void) | undefined;
  /** The server came into another state. */
  onStateChange?: ((state: ServerState) => void) | undefined;
  /** A connection is set up, its handshake done; its handler runs next. The place to tune it. */
  onConnect?: ((connection: Connection<Data>) => void) | undefined;
  /** Bytes moved on a connection: after each read, and at least once a second otherwise. */
  onTraffic?: ((connection: Connection<Data>, traffic: Traffic) => void) | undefined;
  /** A connection is gone. */
  onDisconnect?: ((connection: Connection<Data>, end: ConnectionEnd) => void) | undefined;
  /** An error came up that no caller can receive. @default {logs it} */
  onError?: ((error: unknown, context: ServeErrorContext<Data>) => void) | undefined;
}

/**
 * Serves one connection. When it returns, what was sent is written and the connection closes in
 * order; when it throws, that connection ends the same way and `onError` is called.
 */
export type Handler<Data = unknown> = (connection: Connection<Data>) => Promise<void> | void;

/** Options of {@linkcode serve}. All are optional, all limits are finite. */
export interface ServeOptions<Data = unknown>
  extends ConnectionOptions, ServeHooks<Data>, AdmissionOptions, SourceExemptionsOptions {
  /**
   * Address to listen on.
   *
   * @default {"127.0.0.1"} never all interfaces by accident; `"0.0.0.0"` and `"::"` are those
   */
  hostname?: string | undefined;
  /** Port to listen on; 0 picks a free one, see `server.addr`. @default {0} */
  port?: number | undefined;
  /** Path of a unix socket to listen on instead. */
  path?: string | undefined;
  /** Permissions of the unix socket. @default {0o600} the own user only */
  mode?: number | undefined;
  /**
   * Let several listeners share the port, for one worker on each core (Linux). Deno wants its flag
   * `--unstable-net` for it, except under TLS with the default backend.
   *
   * @default {false}
   */
  reusePort?: boolean | undefined;
  /**
   * Connections that may wait in the kernel to be accepted.
   *
   * @default {511} when it is full, a client that comes next waits a second before it tries again.
   * TLS by node takes connections off the kernel's hands: of those 128 may wait, or as many as this
   * option says, and each holds a descriptor
   */
  backlog?: number | undefined;
  /** Certificates; without it the server speaks plain TCP. */
  tls?: ServerTlsOptions | undefined;
  /** Send small writes at once. @default {true} */
  noDelay?: boolean | undefined;
  /**
   * Over plain TCP, end connections that break by a reset, so that the peer can tell a break from
   * the end: for proxies and downloads. With TLS the peer always can.
   *
   * @default {false} it needs sockets of node:net, which are up to a fifth slower with small
   * messages
   */
  canReset?: boolean | undefined;
  /**
   * Let the kernel probe silent peers; `{ delayMs }` sets how long a silence it waits for, with TLS
   * by node only.
   *
   * @default {false}
   */
  keepAlive?: KeepAlive | undefined;
  /**
   * Read the PROXY protocol header, version 1 or 2, that balancers send first, so that the real
   * addresses of clients are shown, logged, limited and counted. Only listed sources are believed,
   * and they must send it; see docs/operations.md, "Behind a balancer". Not with the `deno` backend
   * of TLS.
   *
   * @default {no header is read}
   */
  proxyProtocol?: ProxyProtocolOptions | undefined;
  /**
   * Longest time in ms from accepting a connection to the end of its TLS handshake.
   *
   * @default {5000}
   */
  handshakeTimeoutMs?: number | undefined;
  /**
   * Time in ms between the moment at which a shutdown is asked for, and the server is not ready any
   * more (state `"leaving"`, `/readyz` 503), and its drain. Meanwhile it accepts and works as
   * before, so that a balancer has seen it before the first client is refused.
   *
   * @default {0} no balancer is known of
   */
  drainDelayMs?: number | undefined;
  /**
   * Time in ms that connections have in a shutdown to end in order, counted from the drain.
   *
   * @default {10000}
   */
  drainTimeoutMs?: number | undefined;
  /** How many connections that have ended are kept, and for how long. */
  closedLog?: ClosedConnectionsOptions | undefined;
  /** Refusal of sources whose handshakes failed. */
  penalties?: PenaltiesOptions | undefined;
  /** Messages and bytes per second; what is over it makes the peer wait. @default {no limit} */
  rateLimits?: RateLimitsOptions | undefined;
  /** Makes the value of `connection.data`. */
  data?: ((incoming: IncomingInfo) => Data) | undefined;
  /** Abort drains the server, as {@linkcode Server.shutdown} does. */
  signal?: AbortSignal | undefined;
  /** Takes errors that no caller can receive. @default {errors and warnings to the console} */
  logger?: Logger | undefined;
}

/** {@linkcode ServeOptions} with every default filled in, checked. */
export interface ResolvedServeOptions<Data> {
  /** The options of the user. */
  readonly given: ServeOptions<Data>;
  /** For each connection. */
  readonly connection: ResolvedConnectionOptions;
  /** Where and how to listen. */
  readonly listen: ListenPlan;
  /**
   * Limits of the connections that come in, fitted to the descriptors that the process may have.
   */
  readonly door: DoorPlan;
  readonly drainDelayMs: number;
  readonly drainTimeoutMs: number;
  readonly closedLog: ClosedLogOptions;
  /** What the owner should know of the limits; `undefined` when all is as was asked for. */
  readonly warning: string | undefined;
  readonly logger: Logger;
}

const ACTION = "Cannot listen";

const HOOKS = [
  "onListen",
  "onStateChange",
  "onConnect",
  "onTraffic",
  "onDisconnect",
  "onError",
  "data",
] as const;

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range, or needs more descriptors than there are
 */
export function resolveServeOptions<Data>(options: ServeOptions<Data>): ResolvedServeOptions<Data> {
  const connection = resolveConnectionOptions(ACTION, options, 300_000);
  const { drainTimeoutMs = 10_000, drainDelayMs = 0 } = options;
  checkDurationMs(ACTION, "drainTimeoutMs", drainTimeoutMs, { allowOff: true });
  checkDurationMs(ACTION, "drainDelayMs", drainDelayMs, { allowOff: true });
  for (const name of HOOKS) {
    if (options[name] !== undefined) checkFunction(ACTION, name, options[name]);
  }
  const { plan, handshakeTimeoutMs, maxConnections, warning } = resolveListen(ACTION, options);
  return {
    given: options,
    connection,
    listen: plan,
    door: {
      admission: { ...options, maxConnections },
      penalties: options.penalties,
      exemptions: options,
      handshakeTimeoutMs,
    },
    drainDelayMs,
    drainTimeoutMs,
    closedLog: checkClosedLog(options.closedLog),
    warning,
    logger: options.logger ?? consoleLogger,
  };
}

/** Checks how many connections that have ended are kept. */
function checkClosedLog(options: ClosedConnectionsOptions | undefined): ClosedLogOptions {
  if (options === undefined) return {};
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `${ACTION}: "closedLog" must be an object, current value is ${
        options === null ? "null" : `of type ${typeof options}`
      }`,
    );
  }
  const { maxConnections = 10_000, maxAgeMs = 3_600_000 } = options;
  checkInteger(ACTION, "closedLog.maxConnections", maxConnections, 0, 2 ** 24);
  checkDurationMs(ACTION, "closedLog.maxAgeMs", maxAgeMs);
  return { maxEntries: maxConnections, maxAgeMs };
}
