// The names of all options that limits have.
import type { ProxyProtocolOptions } from "../net/transport/proxy_sources.ts";
import type { AdmissionOptions } from "./admission_options.ts";
import type { OptionNames } from "../options/names.ts";
import type { PenaltiesOptions } from "./penalties.ts";
import type { RateLimit, RateLimitsOptions } from "./rate_limits.ts";
import type { SourceExemptionsOptions } from "./source_exemptions.ts";

/** Names in {@linkcode RateLimit}. */
export const RATE_LIMIT_NAMES: OptionNames<RateLimit> = {
  messagesPerSecond: true,
  burstMessages: true,
  bytesPerSecond: true,
  burstBytes: true,
};

/** Names in {@linkcode RateLimitsOptions}. */
export const RATE_LIMITS_NAMES: OptionNames<RateLimitsOptions> = {
  perConnection: RATE_LIMIT_NAMES,
  perSource: RATE_LIMIT_NAMES,
  perServer: RATE_LIMIT_NAMES,
  maxSources: true,
};

/** Names in {@linkcode PenaltiesOptions}. */
export const PENALTIES_NAMES: OptionNames<PenaltiesOptions> = {
  enabled: true,
  failureMs: true,
  timeoutMs: true,
  maxMs: true,
  graceMs: true,
  maxSources: true,
};

/** Names in {@linkcode SourceExemptionsOptions}. */
export const SOURCE_EXEMPTIONS_NAMES: OptionNames<SourceExemptionsOptions> = {
  limitLoopback: true,
  exemptSources: true,
};

/** Names in {@linkcode AdmissionOptions}. */
export const ADMISSION_NAMES: OptionNames<AdmissionOptions> = {
  maxConnections: true,
  maxPending: true,
  pendingDropStart: true,
  maxPendingPerSource: true,
  pendingDrop: true,
  stallMs: true,
  maxConnectionsPerSource: true,
  connectionsPerSecondPerSource: true,
  connectionBurstPerSource: true,
  maxSources: true,
};

/** Names of the options of TCP's keepalive: see `SocketTuning`. */
export const KEEP_ALIVE_NAMES: OptionNames<{ readonly delayMs: number }> = { delayMs: true };

/** Names in {@linkcode ProxyProtocolOptions}. */
export const PROXY_PROTOCOL_NAMES: OptionNames<ProxyProtocolOptions> = { sources: true };
