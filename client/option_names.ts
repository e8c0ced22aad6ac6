// The names of all options that clients have.
import { KEEP_ALIVE_NAMES } from "../limits/option_names.ts";
import { CONNECTION_NAMES } from "../connection/option_names.ts";
import type { OptionNames } from "../options/names.ts";
import { CLIENT_TLS_NAMES } from "../tls/option_names.ts";
import type { ReconnectOptions } from "../async/backoff.ts";
import type { ClientOptions } from "./client_options.ts";
import type { ConnectOptions, ConnectTransportOptions } from "./options.ts";

/** Names in {@linkcode ConnectTransportOptions}. */
export const CONNECT_TRANSPORT_NAMES: OptionNames<ConnectTransportOptions> = {
  hostname: true,
  port: true,
  path: true,
  tls: CLIENT_TLS_NAMES,
  noDelay: true,
  canReset: true,
  keepAlive: KEEP_ALIVE_NAMES,
  timeoutMs: true,
  signal: true,
  transport: true,
};

/** Names in {@linkcode ConnectOptions}. */
export const CONNECT_NAMES: OptionNames<ConnectOptions> = {
  ...CONNECT_TRANSPORT_NAMES,
  ...CONNECTION_NAMES,
  data: true,
};

/** Names in {@linkcode ReconnectOptions}. */
export const RECONNECT_NAMES: OptionNames<ReconnectOptions> = {
  minDelayMs: true,
  maxDelayMs: true,
  maxAttempts: true,
  healthyAfterMs: true,
  policy: true,
};

/** Names in {@linkcode ClientOptions}. */
export const CLIENT_NAMES: OptionNames<ClientOptions> = {
  ...CONNECT_NAMES,
  reconnect: RECONNECT_NAMES,
  onConnect: true,
  trialMs: true,
  dropOldStats: true,
  maxQueuedBytes: true,
  signal: true,
  logger: true,
};
