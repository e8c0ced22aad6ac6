// The names of all options that mux sessions have.
import type { OptionNames } from "../options/names.ts";
import type { FloodLimits } from "./flood.ts";
import type { MuxSessionOptions } from "./options.ts";

/** Names in {@linkcode FloodLimits}. */
export const FLOOD_LIMITS_NAMES: OptionNames<FloodLimits> = {
  maxResets: true,
  maxResetsPerSecond: true,
  maxPingsPer10s: true,
  maxEmptyFrames: true,
  maxDeadFrames: true,
};

/** Names in {@linkcode MuxSessionOptions}. */
export const MUX_SESSION_NAMES: OptionNames<MuxSessionOptions> = {
  role: true,
  maxStreams: true,
  maxBacklog: true,
  maxOpening: true,
  maxBufferedBytes: true,
  maxWindowBytes: true,
  openTimeoutMs: true,
  halfCloseTimeoutMs: true,
  keepAliveMs: true,
  keepAliveTimeoutMs: true,
  flood: FLOOD_LIMITS_NAMES,
  memory: true,
  clock: true,
  random: true,
};
