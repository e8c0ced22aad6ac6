// Options of listenTransport(): what they are, their defaults, and their check before any I/O.
import type { DoorPlan } from "../accept/door.ts";
import { resolveListen } from "../accept/listen_options.ts";
import type { ListenPlan } from "../accept/listening.ts";
import { checkFunction, checkInteger } from "../options/check.ts";
import type { PenaltiesOptions } from "../limits/penalties.ts";
import type { ProxyProtocolOptions } from "../net/transport/proxy_sources.ts";
import type { SourceExemptionsOptions } from "../limits/source_exemptions.ts";
import { consoleLogger, type Logger } from "../log/logger.ts";
import type { Address, KeepAlive } from "../net/transport/transport.ts";
import type { ServerTlsOptions } from "../tls/handshake/options.ts";

/** Where an error came up that no caller of a `TransportListener` can receive. */
export interface TransportErrorContext {
  /**
   * `"listen"`: it cannot listen, and its caller has asked neither for `ready` nor for `finished`,
   * and waits in no `accept`. `"accept"`: the process lacks what it takes to accept, it goes on.
   * `"refused"`: a limit refused a connection (reported once in ten seconds for each reason).
   * `"handshake"`: a client failed its handshake or its time for it ran out (reported at most ten
   * times a second). `"certificates"`: a certificate ends soon or has ended, or new files cannot be
   * used, the old ones stay in force.
   */
  readonly phase: "listen" | "accept" | "refused" | "handshake" | "certificates";
  /** The far end, where there is one. */
  readonly remoteAddr?: Address | undefined;
}

/** Options of `listenTransport`. All are optional, all limits are finite. */
export interface ListenTransportOptions extends SourceExemptionsOptions {
  /**
   * Name or address to listen on.
   *
   * @default {"127.0.0.1"} never all interfaces by accident; `"0.0.0.0"` and `"::"` are those
   */
  hostname?: string | undefined;
  /** Port to listen on; 0 picks a free one, see `addr`. @default {0} */
  port?: number | undefined;
  /** Path of a unix socket to listen on instead. */
  path?: string | undefined;
  /** Permissions of the unix socket. @default {0o600} the own user only */
  mode?: number | undefined;
  /** Let several listeners share the port (Linux); see `ServeOptions`. @default {false} */
  reusePort?: boolean | undefined;
  /** Connections that may wait in the kernel to be accepted. @default {511} as for `serve` */
  backlog?: number | undefined;
  /** Certificates; without it the connections are plain. */
  tls?: ServerTlsOptions | undefined;
  /** Send small writes at once. @default {true} */
  noDelay?: boolean | undefined;
  /** Let the kernel probe silent peers; see `ServeOptions`. @default {false} */
  keepAlive?: KeepAlive | undefined;
  /**
   * Read the PROXY protocol header of balancers; see `ServeOptions`.
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
   * Handshakes at a time, 1 to 65536; when they stall, the oldest gives way to the next.
   *
   * @default {100} as OpenSSH's MaxStartups
   */
  maxPending?: number | undefined;
  /** Handshakes of one source at a time, 1 to 65536; loopback is exempt. @default {16} */
  maxPendingPerSource?: number | undefined;
  /**
   * Transports that may wait to be taken, 1 to 65536: when so many wait, no further connection is
   * accepted, and newcomers wait in the kernel.
   *
   * @default {64} a burst, and few descriptors where the application takes none
   */
  maxWaiting?: number | undefined;
  /** Refusal of sources whose handshakes failed. */
  penalties?: PenaltiesOptions | undefined;
  /** Abort ends it, as {@linkcode TransportListener.shutdown} does. */
  signal?: AbortSignal | undefined;
  /** Takes errors that no caller can receive. @default {the logger} */
  onError?: ((error: unknown, context: TransportErrorContext) => void) | undefined;
  /** Takes errors that no caller can receive. @default {errors and warnings to the console} */
  logger?: Logger | undefined;
}

/** {@linkcode ListenTransportOptions} with every default filled in, checked. */
export interface ResolvedListenTransportOptions {
  /** The options of the user. */
  readonly given: ListenTransportOptions;
  /** Where and how to listen. */
  readonly listen: ListenPlan;
  /** Limits of the connections that come in. */
  readonly door: DoorPlan;
  readonly maxWaiting: number;
  readonly logger: Logger;
}

const ACTION = "Cannot listen";

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError} when an option has the wrong type, or two of them exclude each other
 * @throws {RangeError} when a number is out of range
 */
export function resolveListenTransportOptions(
  options: ListenTransportOptions,
): ResolvedListenTransportOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `${ACTION}: "options" must be an object, got ${options === null ? null : typeof options}`,
    );
  }
  const { maxPending = 100, maxPendingPerSource = 16, maxWaiting = 64 } = options;
  const { plan, handshakeTimeoutMs } = resolveListen(ACTION, options);
  for (const [name, value] of Object.entries({ maxPending, maxPendingPerSource, maxWaiting })) {
    checkInteger(ACTION, name, value, 1, 65536);
  }
  if (options.onError !== undefined) checkFunction(ACTION, "onError", options.onError);
  return {
    given: options,
    listen: plan,
    door: {
      admission: { maxConnections: maxPending + maxWaiting + 1, maxPending, maxPendingPerSource },
      penalties: options.penalties,
      exemptions: options,
      handshakeTimeoutMs,
    },
    maxWaiting,
    logger: options.logger ?? consoleLogger,
  };
}
