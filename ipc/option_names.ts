// The names of all options that IPC has.
import type { OptionNames } from "../options/names.ts";
import type { IpcAddressOptions } from "./endpoint/endpoint.ts";
import type { IpcCommonOptions } from "./options.ts";

/** Names in {@linkcode IpcAddressOptions}. */
export const IPC_ADDRESS_NAMES: OptionNames<IpcAddressOptions> = {
  name: true,
  transport: true,
  path: true,
  hostname: true,
  port: true,
  permissions: true,
  owner: true,
};

/** Names in {@linkcode IpcCommonOptions}. */
export const IPC_COMMON_NAMES: OptionNames<IpcCommonOptions> = {
  ...IPC_ADDRESS_NAMES,
  secret: true,
  insecureAnonymous: true,
  encryption: true,
  maxMessageBytes: true,
  maxRecordBytes: true,
  handshakeTimeoutMs: true,
  queryTimeoutMs: true,
  keepaliveMs: true,
  keepaliveTimeoutMs: true,
  writeTimeoutMs: true,
  messageTimeoutMs: true,
  closeTimeoutMs: true,
  highWaterBytes: true,
  maxQueuedBytes: true,
  readAheadBytes: true,
  maxQueriesInFlight: true,
  maxQueriesRunning: true,
  onError: true,
  logger: true,
};
