// The names of all options that servers have.
import { CONNECTION_NAMES } from "../connection/option_names.ts";
import type { OptionNames } from "../options/names.ts";
import {
  ADMISSION_NAMES,
  KEEP_ALIVE_NAMES,
  PENALTIES_NAMES,
  PROXY_PROTOCOL_NAMES,
  RATE_LIMITS_NAMES,
  SOURCE_EXEMPTIONS_NAMES,
} from "../limits/option_names.ts";
import { SERVER_TLS_NAMES } from "../tls/option_names.ts";
import type { ClosedConnectionsOptions, ServeHooks, ServeOptions } from "./options.ts";
import type { ListenTransportOptions } from "./transport_options.ts";

/** Names in {@linkcode ServeHooks}. */
export const SERVE_HOOKS_NAMES: OptionNames<ServeHooks> = {
  onListen: true,
  onStateChange: true,
  onConnect: true,
  onTraffic: true,
  onDisconnect: true,
  onError: true,
};

/** Names in {@linkcode ClosedConnectionsOptions}. */
export const CLOSED_CONNECTIONS_NAMES: OptionNames<ClosedConnectionsOptions> = {
  maxConnections: true,
  maxAgeMs: true,
};

/** Names that all that listen have in common. */
const LISTENING_NAMES = {
  ...SOURCE_EXEMPTIONS_NAMES,
  hostname: true,
  port: true,
  path: true,
  mode: true,
  reusePort: true,
  proxyProtocol: PROXY_PROTOCOL_NAMES,
  backlog: true,
  tls: SERVER_TLS_NAMES,
  noDelay: true,
  keepAlive: KEEP_ALIVE_NAMES,
  handshakeTimeoutMs: true,
  penalties: PENALTIES_NAMES,
  signal: true,
  logger: true,
} as const;

/** Names in {@linkcode ServeOptions}. */
export const SERVE_NAMES: OptionNames<ServeOptions> = {
  ...CONNECTION_NAMES,
  ...SERVE_HOOKS_NAMES,
  ...ADMISSION_NAMES,
  ...LISTENING_NAMES,
  canReset: true,
  drainDelayMs: true,
  drainTimeoutMs: true,
  closedLog: CLOSED_CONNECTIONS_NAMES,
  rateLimits: RATE_LIMITS_NAMES,
  data: true,
};

/** Names in {@linkcode ListenTransportOptions}. */
export const LISTEN_TRANSPORT_NAMES: OptionNames<ListenTransportOptions> = {
  ...LISTENING_NAMES,
  maxPending: true,
  maxPendingPerSource: true,
  maxWaiting: true,
  onError: true,
};
