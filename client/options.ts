// Options of connect() and Client, their defaults, and their check before any I/O.
import {
  type ConnectionOptions,
  resolveConnectionOptions,
  type ResolvedConnectionOptions,
} from "../connection/options.ts";
import { checkBoolean, checkDurationMs, checkInteger } from "../options/check.ts";
import { withoutBrackets } from "../net/address/brackets.ts";
import type { Address, KeepAlive } from "../net/transport/transport.ts";
import { checkKeepAlive, refuseDelay } from "../net/transport/tuning.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import {
  resolveClientName,
  resolveClientPins,
  resolveCommonTls,
  resolveIdentity,
  resolveTexts,
} from "../tls/resolve.ts";

/** Options of {@linkcode connectTransport}: where to connect to, and how. */
export interface ConnectTransportOptions {
  /** Name or address to connect to. @default {"127.0.0.1"} */
  hostname?: string | undefined;
  /** Port to connect to. */
  port?: number | undefined;
  /** Path of a unix socket to connect to instead. */
  path?: string | undefined;
  /** Trusted certificates and our own certificate; without TLS options the connection is plain. */
  tls?: ClientTlsOptions | undefined;
  /** Sends small writes at once. @default {true} */
  noDelay?: boolean | undefined;
  /**
   * Over plain TCP, ends broken connections by a reset, so that the peer can distinguish a break
   * from an orderly end: for proxies and downloads. With TLS the peer always can.
   *
   * @default {false} because it needs sockets of node:net, which are up to a fifth slower with small messages
   */
  canReset?: boolean | undefined;
  /**
   * Lets the kernel probe a silent peer, after `delayMs` over TLS of node.
   * @default {false} because `receiveTimeoutMs` detects more
   */
  keepAlive?: KeepAlive | undefined;
  /** Longest time in ms for the whole attempt: files, name, dialling, TLS. @default {10000} */
  timeoutMs?: number | undefined;
  /** Abort ends the attempt, and the call rejects with its reason. It has no effect on an open connection. */
  signal?: AbortSignal | undefined;
  /** Kind of address, as in `server.addr`; optional. */
  transport?: Address["transport"] | undefined;
}

/** Options of {@linkcode connect}; `server.addr` of a server in the same process has the same form. */
export interface ConnectOptions<Data = unknown> extends ConnectTransportOptions, ConnectionOptions {
  /** Initial value of `connection.data`. */
  data?: Data | undefined;
}

/** Where to connect to and how, with every default filled in, checked. */
export interface ResolvedConnectTransportOptions {
  /** The options of the user. */
  readonly given: ConnectTransportOptions;
  /** The address, without TLS. */
  readonly target: { readonly path: string } | { readonly hostname: string; readonly port: number };
  /** The address as messages name it. */
  readonly targetText: string;
  readonly noDelay: boolean;
  readonly keepAlive: KeepAlive;
  readonly timeoutMs: number;
}

/** {@linkcode ConnectOptions} with every default filled in, checked. */
export interface ResolvedConnectOptions<Data> extends ResolvedConnectTransportOptions {
  /** The options of the user. */
  readonly given: ConnectOptions<Data>;
  readonly connection: ResolvedConnectionOptions;
}

const ACTION = "Cannot connect";

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range
 */
export function resolveConnectOptions<Data>(
  options: ConnectOptions<Data>,
): ResolvedConnectOptions<Data> {
  const resolved = resolveConnectTransportOptions(options);
  return { ...resolved, given: options, connection: resolveConnectionOptions(ACTION, options, 0) };
}

/**
 * Fills in defaults and checks where to connect to, and how.
 *
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range
 */
export function resolveConnectTransportOptions(
  options: ConnectTransportOptions,
): ResolvedConnectTransportOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `${ACTION}: the options must be an object with "port" or "path", got ${typeof options}`,
    );
  }
  const { timeoutMs = 10_000, noDelay = true, keepAlive = false } = options;
  const where = resolveTarget(options);
  checkDurationMs(ACTION, "timeoutMs", timeoutMs);
  checkBoolean(ACTION, "noDelay", noDelay);
  checkKeepAlive(ACTION, keepAlive);
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw new TypeError(`${ACTION}: "signal" must be an AbortSignal, got ${typeof options.signal}`);
  }
  if (options.canReset !== undefined) checkBoolean(ACTION, "canReset", options.canReset);
  if (options.tls !== undefined) checkTls(options.tls);
  if (options.tls === undefined || options.tls.backend === "deno") refuseDelay(ACTION, keepAlive);
  return { ...where, given: options, noDelay, keepAlive, timeoutMs };
}

function resolveTarget(
  options: ConnectTransportOptions,
): Pick<ResolvedConnectTransportOptions, "target" | "targetText"> {
  const { path, port } = options;
  if (path !== undefined) {
    if (typeof path !== "string" || path === "") {
      throw new TypeError(
        `${ACTION}: "path" must be the path of a unix socket, got ${JSON.stringify(path)}`,
      );
    }
    if (port !== undefined || options.hostname !== undefined) {
      throw new TypeError(`${ACTION}: "path" excludes "hostname" and "port"`);
    }
    return { target: { path }, targetText: JSON.stringify(path) };
  }
  const { hostname: given = "127.0.0.1" } = options;
  const hostname = typeof given === "string" ? withoutBrackets(given) : given;
  if (typeof hostname !== "string" || hostname === "") {
    throw new TypeError(
      `${ACTION}: "hostname" must be a name or an address, got ${JSON.stringify(hostname)}`,
    );
  }
  if (port === undefined) throw new TypeError(`${ACTION}: neither "port" nor "path" is given`);
  checkInteger(ACTION, "port", port, 1, 65535);
  const shown = hostname.includes(":") ? `[${hostname}]` : hostname;
  return { target: { hostname, port }, targetText: JSON.stringify(`${shown}:${port}`) };
}

/**
 * Refuses options that must fail, before any file is read; otherwise a client would dial in vain
 * for ever.
 */
function checkTls(tls: ClientTlsOptions): void {
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `${ACTION}: "tls" must be an object, {} for the system's authorities, got ${typeof tls}`,
    );
  }
  resolveCommonTls(tls);
  resolveIdentity(tls, "");
  resolveTexts(tls.caCerts, "caCerts");
  resolveClientName(tls.serverName);
  resolveClientPins(tls);
}
