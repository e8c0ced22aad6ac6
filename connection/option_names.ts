// The names of all options that connections have.
import type { OptionNames } from "../options/names.ts";
import type { ConnectionOptions } from "./options.ts";
import type { ConnectionSetup } from "./types.ts";

/** Names in {@linkcode ConnectionOptions}. */
export const CONNECTION_NAMES: OptionNames<ConnectionOptions> = {
  framing: true,
  maxMessageBytes: true,
  highWaterBytes: true,
  maxQueuedBytes: true,
  readAheadBytes: true,
  writeTimeoutMs: true,
  messageTimeoutMs: true,
  idleTimeoutMs: true,
  receiveTimeoutMs: true,
  closeTimeoutMs: true,
};

/** Names in {@linkcode ConnectionSetup}. */
export const CONNECTION_SETUP_NAMES: OptionNames<ConnectionSetup<unknown>> = {
  ...CONNECTION_NAMES,
  data: true,
  id: true,
  sweeper: true,
  onTraffic: true,
  onClosed: true,
  tellEachRead: true,
  onUnheard: true,
  resolved: true,
  rateGate: true,
  onRatePause: true,
  observer: true,
};
