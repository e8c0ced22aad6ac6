// resolveListen(): checks the options of a listening side before any I/O, once per server.
import { checkBoolean, checkDurationMs, checkInteger, checkLogger } from "../options/check.ts";
import {
  checkDescriptorBudget,
  descriptorLimit,
  descriptorWarning,
} from "../limits/descriptors.ts";
import type { Logger } from "../log/logger.ts";
import type { ListenTarget } from "../net/listen.ts";
import { type ProxyProtocolOptions, ProxySources } from "../net/transport/proxy_sources.ts";
import type { KeepAlive } from "../net/transport/transport.ts";
import { checkKeepAlive, refuseDelay } from "../net/transport/tuning.ts";
import type { ServerTlsOptions } from "../tls/handshake/options.ts";
import { planServer } from "../tls/plan.ts";
import type { ListenPlan } from "./listening.ts";

/**
 * Default time of a handshake in ms: enough for a phone on a bad network, short for a silent
 * client.
 */
const HANDSHAKE_TIMEOUT_MS = 5000;

/** Default permissions of a unix socket: the own user only. */
const SOCKET_MODE = 0o600;

const SWITCHES = ["reusePort", "noDelay", "canReset"] as const;

/** Options that listening sides have in common. Each side documents its own. */
export interface ListenGiven {
  readonly hostname?: string | undefined;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
  readonly mode?: number | undefined;
  readonly reusePort?: boolean | undefined;
  readonly backlog?: number | undefined;
  readonly maxConnections?: number | undefined;
  readonly tls?: ServerTlsOptions | undefined;
  readonly noDelay?: boolean | undefined;
  readonly canReset?: boolean | undefined;
  readonly keepAlive?: KeepAlive | undefined;
  readonly proxyProtocol?: ProxyProtocolOptions | undefined;
  readonly handshakeTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
}

/** {@linkcode ListenGiven}, checked, with the defaults filled in. */
export interface ResolvedListen {
  /** Where and how to listen. */
  readonly plan: ListenPlan;
  readonly handshakeTimeoutMs: number;
  /** Connections at a time for which the process has descriptors. */
  readonly maxConnections: number;
  /** A warning about limits that were lowered to fit; `undefined` when none was. */
  readonly warning: string | undefined;
}

/**
 * Checks the options of a listening side, and fills in defaults.
 *
 * @param action What is being tried, such as `Cannot listen`
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range, or needs more descriptors than there are
 */
export function resolveListen(action: string, options: ListenGiven): ResolvedListen {
  const { tls, backlog, noDelay = true, keepAlive = false, canReset, maxConnections } = options;
  const { handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = options;
  const where = resolveWhere(action, options);
  checkDurationMs(action, "handshakeTimeoutMs", handshakeTimeoutMs);
  checkSockets(action, options);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${action}: "signal" must be an AbortSignal, got ${typeof signal}`);
  }
  checkLogger(action, options.logger);
  const transport = "path" in where ? "unix" : "tcp";
  const proxySources = ProxySources.from(action, options.proxyProtocol, transport, tls?.backend);
  const wishes = { allowed: descriptorLimit(), maxConnections, backlog };
  const budget = checkDescriptorBudget(wishes);
  const listenOptions = {
    backlog,
    maxWaiting: budget.backlog,
    noDelay,
    keepAlive,
    canReset,
    proxySources,
  };
  return {
    plan: { where, tls, listenOptions },
    handshakeTimeoutMs,
    maxConnections: budget.maxConnections,
    warning: descriptorWarning(wishes, budget),
  };
}

/** Checks where to listen. */
function resolveWhere(action: string, options: ListenGiven): ListenTarget {
  const { path, hostname, port, mode, reusePort } = options;
  if (path !== undefined) {
    if (typeof path !== "string" || path === "") {
      throw new TypeError(
        `${action}: "path" must be the path of a unix socket, got ${JSON.stringify(path)}`,
      );
    }
    if (hostname !== undefined || port !== undefined || reusePort !== undefined) {
      throw new TypeError(`${action}: "path" excludes "hostname", "port" and "reusePort"`);
    }
    if (mode !== undefined) checkInteger(action, "mode", mode, 0, 0o777);
    return { path, mode: mode ?? SOCKET_MODE };
  }
  if (mode !== undefined) {
    throw new TypeError(`${action}: "mode" needs a "path": a TCP port has no permissions`);
  }
  if (hostname !== undefined && (typeof hostname !== "string" || hostname === "")) {
    throw new TypeError(
      `${action}: "hostname" must be a name or an address, got ${JSON.stringify(hostname)}`,
    );
  }
  if (port !== undefined) checkInteger(action, "port", port, 0, 65535);
  return { hostname, port: port ?? 0, reusePort };
}

/** Checks what holds for every socket. */
function checkSockets(action: string, options: ListenGiven): void {
  const { keepAlive, tls } = options;
  if (keepAlive !== undefined) {
    checkKeepAlive(action, keepAlive);
    // These sockets would ignore the delay.
    if (tls === undefined || tls.backend === "deno") refuseDelay(action, keepAlive);
  }
  for (const name of SWITCHES) {
    if (options[name] !== undefined) checkBoolean(action, name, options[name]);
  }
  if (tls === undefined) return;
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `${action}: "tls" must be an object, got ${tls === null ? "null" : typeof tls}`,
    );
  }
  planServer(tls);
}
