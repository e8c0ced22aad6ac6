// The names of all options that wires have.
import { RECONNECT_NAMES } from "../client/option_names.ts";
import type { OptionNames } from "../limits/check_names.ts";
import {
  ADMISSION_NAMES,
  PENALTIES_NAMES,
  PROXY_PROTOCOL_NAMES,
  SOURCE_EXEMPTIONS_NAMES,
} from "../limits/option_names.ts";
import { MUX_SESSION_NAMES } from "../mux/option_names.ts";
import { CLIENT_TLS_NAMES, SERVER_TLS_NAMES } from "../tls/option_names.ts";
import type { JoinOptions, MountOptions, OpenOptions, StreamLifetime, WireOptions } from "./options.ts";

/** Names in {@linkcode WireOptions}. */
export const WIRE_NAMES: OptionNames<WireOptions> = {
  handlers: true,
  onOpen: true,
  onClose: true,
  onOffers: true,
  onError: true,
  logger: true,
  maxHandlers: true,
  mux: MUX_SESSION_NAMES,
  signal: true,
};

/** Names in {@linkcode MountOptions}. */
export const MOUNT_NAMES: OptionNames<MountOptions> = {
  ...WIRE_NAMES,
  ...ADMISSION_NAMES,
  ...SOURCE_EXEMPTIONS_NAMES,
  hostname: true,
  port: true,
  path: true,
  mode: true,
  tls: SERVER_TLS_NAMES,
  authorize: true,
  insecureAnyone: true,
  proxyProtocol: PROXY_PROTOCOL_NAMES,
  drainDelayMs: true,
  handshakeTimeoutMs: true,
  penalties: PENALTIES_NAMES,
  backlog: true,
};

/** Names in {@linkcode JoinOptions}. */
export const JOIN_NAMES: OptionNames<JoinOptions> = {
  ...WIRE_NAMES,
  hostname: true,
  port: true,
  path: true,
  tls: CLIENT_TLS_NAMES,
  transport: true,
  identity: true,
  token: true,
  timeoutMs: true,
  reconnect: RECONNECT_NAMES,
  authorize: true,
  onRetry: true,
  onPeers: true,
};

/** Names in {@linkcode StreamLifetime}. */
export const STREAM_LIFETIME_NAMES: OptionNames<StreamLifetime> = {
  signal: true,
  timeoutMs: true,
};

/** Names in {@linkcode OpenOptions}. */
export const OPEN_NAMES: OptionNames<OpenOptions> = {
  signal: true,
  timeoutMs: true,
  meta: true,
  lifetime: STREAM_LIFETIME_NAMES,
  waitForPeer: true,
};
