// Options of serve(): what they are, their defaults, and their check before any I/O.
import type { Connection } from "../connection.ts";
import {
  type ConnectionOptions,
  resolveConnectionOptions,
  type ResolvedConnectionOptions,
} from "../connection/options.ts";
import type { ConnectionEnd, Traffic } from "../connection/types.ts";
import type { AdmissionOptions } from "../limits/admission_options.ts";
import { checkBoolean, checkDurationMs, checkFunction, checkInteger, checkLogger } from "../limits/check.ts";
import { checkDescriptorBudget, descriptorLimit } from "../limits/descriptors.ts";
import type { PenaltiesOptions } from "../limits/penalties.ts";
import type { RateLimitsOptions } from "../limits/rate_limits.ts";
import type { SourceExemptionsOptions } from "../limits/source_exemptions.ts";
import type { Logger } from "../logger.ts";
import type { Address } from "../net/transport.ts";
import type { ServerTlsOptions } from "../tls/options.ts";
import { planServer } from "../tls/plan.ts";

/**
 * ```
 * created ──▶ listening ──shutdown()──▶ draining ──▶ stopped
 *    │            └────────close()────────────────────▲
 *    └──cannot listen, close()────────────────────────┘
 * ```
 */
export type ServerState = "created" | "listening" | "draining" | "stopped";

/** Where in a server an error came up. */
export interface ServeErrorContext<Data = unknown> {
  /**
   * `"listen"`: the server cannot run. `"accept"`: the kernel refused a connection, the server goes on. `"handshake"`: a client
   * failed its handshake or its time for it ran out (told at most ten times a second). `"handler"`: the handler threw. `"close"`: what
   * had been accepted for sending could not be handed over. `"hook"`: a hook threw. `"drain"`: a shutdown asked for by the
   * signal had to cut. `"certificates"`: new certificate files cannot be used, the old ones stay in force; or a certificate ends soon
   * or has ended (`ERR_CERT_EXPIRING`, `ERR_CERT_EXPIRED`).
   */
  readonly phase:
    | "listen"
    | "accept"
    | "handshake"
    | "handler"
    | "close"
    | "hook"
    | "drain"
    | "certificates";
  /** The connection, where there is one. */
  readonly connection?: Connection<Data>;
  /** The far end, where there is one. */
  readonly remoteAddr?: Address;
}

/** What a new connection is known by before there is a {@linkcode Connection}. */
export interface IncomingInfo {
  /** The near end. */
  readonly localAddr: Address;
  /** The far end. */
  readonly remoteAddr: Address;
}

/** What is called as a server lives. A hook that throws is told to `onError` and changes nothing else. */
export interface ServeHooks<Data = unknown> {
  /** The server listens. */
  onListen?: (addr: Address) => void;
  /** The server came into another state. */
  onStateChange?: (state: ServerState) => void;
  /** A connection is set up, its handshake done; its handler runs next. The place to tune it. */
  onConnect?: (connection: Connection<Data>) => void;
  /** Bytes moved on a connection: after each read, and at least once a second otherwise. */
  onTraffic?: (connection: Connection<Data>, traffic: Traffic) => void;
  /** A connection is gone. */
  onDisconnect?: (connection: Connection<Data>, end: ConnectionEnd) => void;
  /** Something went wrong that no caller can be told. @default {tells the logger} */
  onError?: (error: unknown, context: ServeErrorContext<Data>) => void;
}

/**
 * Serves one connection. When it returns, what was sent is handed over and the connection closes in order; when it
 * throws, that connection ends the same way and `onError` is told.
 */
export type Handler<Data = unknown> = (connection: Connection<Data>) => Promise<void> | void;

/** Options of {@linkcode serve}. All are optional, all limits are finite. */
export interface ServeOptions<Data = unknown>
  extends ConnectionOptions, ServeHooks<Data>, AdmissionOptions, SourceExemptionsOptions {
  /** Address to listen on. @default {"127.0.0.1"} never all interfaces by accident; `"0.0.0.0"` and `"::"` are those */
  hostname?: string;
  /** Port to listen on; 0 picks a free one, told by `server.addr`. @default {0} */
  port?: number;
  /** Path of a unix socket to listen on instead. */
  path?: string;
  /** Permissions of the unix socket. @default {0o600} the own user only */
  mode?: number;
  /**
   * Let several listeners share the port, for one worker on each core (Linux). Deno wants its flag `--unstable-net` for it,
   * except under TLS with the default backend.
   *
   * @default {false}
   */
  reusePort?: boolean;
  /**
   * Connections that may wait in the kernel to be accepted.
   *
   * @default {511} when it is full, whoever comes next waits a second before he tries again; with TLS by node, which takes them off
   * the kernel's hands, 128 of them may wait with us
   */
  backlog?: number;
  /** Certificates; without it the server speaks plain TCP. */
  tls?: ServerTlsOptions;
  /** Send small writes at once. @default {true} */
  noDelay?: boolean;
  /** Let the kernel probe silent peers. @default {false} */
  keepAlive?: boolean;
  /**
   * Over plain TCP, end connections that break by a reset, so that the peer can tell a break from the end: for proxies and downloads.
   * With TLS it can always be told.
   *
   * @default {false} it needs sockets of node:net, which are up to a fifth slower with small messages
   */
  canReset?: boolean;
  /** Longest time in ms from accepting a connection to the end of its TLS handshake. @default {5000} */
  handshakeTimeoutMs?: number;
  /** Time in ms that a shutdown gives connections to end in order. @default {10000} */
  drainTimeoutMs?: number;
  /** Refusal of sources whose handshakes failed. */
  penalties?: PenaltiesOptions;
  /** Messages and bytes per second; what is over it makes the peer wait. @default {no limit} */
  rateLimits?: RateLimitsOptions;
  /** Makes the value of `connection.data`. */
  data?: (incoming: IncomingInfo) => Data;
  /** Abort drains the server, as {@linkcode Server.shutdown} does. */
  signal?: AbortSignal;
  /** Takes errors that no caller is told. @default {errors and warnings to the console} */
  logger?: Logger;
}

/** {@linkcode ServeOptions} with every default filled in, checked. */
export interface ResolvedServeOptions<Data> {
  /** What the user gave. */
  readonly given: ServeOptions<Data>;
  /** For each connection. */
  readonly connection: ResolvedConnectionOptions;
  /** For the admission of connections, fitted to the descriptors that the process may have. */
  readonly admission: AdmissionOptions;
  /** Of the kernel; `undefined` for the default. */
  readonly backlog: number | undefined;
  /** Connections that may hold a descriptor of ours before they are accepted. */
  readonly maxWaiting: number;
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
  readonly handshakeTimeoutMs: number;
  readonly drainTimeoutMs: number;
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

const SWITCHES = ["reusePort", "noDelay", "keepAlive", "canReset"] as const;

/** Quiet but for what needs a look. */
export const consoleLogger: Logger = {
  debug() {},
  info() {},
  // deno-lint-ignore no-console
  warn: (message, fields) => fields === undefined ? console.warn(message) : console.warn(message, fields),
  // deno-lint-ignore no-console
  error: (message, fields) => fields === undefined ? console.error(message) : console.error(message, fields),
};

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range, or needs more descriptors than there are
 */
export function resolveServeOptions<Data>(options: ServeOptions<Data>): ResolvedServeOptions<Data> {
  const connection = resolveConnectionOptions(ACTION, options, 300_000);
  const { handshakeTimeoutMs = 5000, drainTimeoutMs = 10_000 } = options;
  checkAddress(options);
  checkDurationMs(ACTION, "handshakeTimeoutMs", handshakeTimeoutMs);
  checkDurationMs(ACTION, "drainTimeoutMs", drainTimeoutMs, { allowOff: true });
  for (const name of HOOKS) {
    if (options[name] !== undefined) checkFunction(ACTION, name, options[name]);
  }
  checkParts(options);
  const budget = checkDescriptorBudget({
    allowed: descriptorLimit(),
    maxConnections: options.maxConnections,
    backlog: options.backlog,
  });
  return {
    given: options,
    connection,
    admission: { ...options, maxConnections: budget.maxConnections },
    backlog: options.backlog,
    maxWaiting: budget.backlog,
    noDelay: options.noDelay ?? true,
    keepAlive: options.keepAlive ?? false,
    handshakeTimeoutMs,
    drainTimeoutMs,
    logger: options.logger ?? consoleLogger,
  };
}

/** Checks switches, and what is more than a number. */
export function checkParts(
  options: Pick<ServeOptions, typeof SWITCHES[number] | "tls" | "signal" | "logger">,
): void {
  const { tls, signal, logger } = options;
  for (const name of SWITCHES) {
    if (options[name] !== undefined) checkBoolean(ACTION, name, options[name]);
  }
  if (tls !== undefined) {
    if (typeof tls !== "object" || tls === null) {
      throw new TypeError(`${ACTION} as "tls" must be an object: got ${tls === null ? "null" : typeof tls}`);
    }
    planServer(tls);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${ACTION} as "signal" must be an AbortSignal: got ${typeof signal}`);
  }
  checkLogger(ACTION, logger);
}

/** Checks where to listen. */
export function checkAddress(
  options: Pick<ServeOptions, "path" | "hostname" | "port" | "mode" | "reusePort">,
): void {
  const { path, hostname, port, mode, reusePort } = options;
  if (path !== undefined) {
    if (typeof path !== "string" || path === "") {
      throw new TypeError(
        `${ACTION} as "path" must be the path of a unix socket: got ${JSON.stringify(path)}`,
      );
    }
    if (hostname !== undefined || port !== undefined || reusePort !== undefined) {
      throw new TypeError(`${ACTION} as "path" excludes "hostname", "port" and "reusePort"`);
    }
    if (mode !== undefined) checkInteger(ACTION, "mode", mode, 0, 0o777);
    return;
  }
  if (mode !== undefined) {
    throw new TypeError(`${ACTION} as "mode" needs a "path": a TCP port has no permissions`);
  }
  if (hostname !== undefined && (typeof hostname !== "string" || hostname === "")) {
    throw new TypeError(
      `${ACTION} as "hostname" must be a name or an address: got ${JSON.stringify(hostname)}`,
    );
  }
  if (port !== undefined) checkInteger(ACTION, "port", port, 0, 65535);
}
