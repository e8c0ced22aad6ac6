// The names of all options that pools have.
import type { OptionNames } from "../options/names.ts";
import { CONNECT_NAMES } from "../client/option_names.ts";
import { CLIENT_TLS_NAMES } from "../tls/option_names.ts";
import type { BreakerOptions } from "./breaker.ts";
import type { Backend, HealthOptions, PoolOptions } from "./options.ts";
import type { OutlierOptions } from "./outliers.ts";
import type { RetryBudgetOptions } from "./retry_budget.ts";

/** Names in {@linkcode Backend}. */
export const BACKEND_NAMES: OptionNames<Backend> = {
  name: true,
  hostname: true,
  port: true,
  path: true,
  weight: true,
  maxConnections: true,
  tls: CLIENT_TLS_NAMES,
  resolve: true,
  transport: true,
};

/** Names in {@linkcode HealthOptions}. */
export const HEALTH_NAMES: OptionNames<HealthOptions> = {
  check: true,
  intervalMs: true,
  timeoutMs: true,
  failures: true,
};

/** Names in {@linkcode BreakerOptions}. */
export const BREAKER_NAMES: OptionNames<BreakerOptions> = {
  failures: true,
  openMs: true,
  maxOpenMs: true,
};

/** Names in {@linkcode OutlierOptions}. */
export const OUTLIER_NAMES: OptionNames<OutlierOptions> = {
  intervalMs: true,
  minLeases: true,
  maxFailureRatio: true,
  slowFactor: true,
  slowMarginMs: true,
  maxEjectedRatio: true,
  ejectMs: true,
  maxEjectMs: true,
};

/** Names in {@linkcode RetryBudgetOptions}. */
export const RETRY_BUDGET_NAMES: OptionNames<RetryBudgetOptions> = {
  ratio: true,
  minPerSecond: true,
};

/** Names in the options of `connect` that hold for each connection of a pool. */
const {
  hostname: _,
  port: _1,
  path: _2,
  transport: _3,
  signal: _4,
  data: _5,
  ...POOLED_CONNECTION_NAMES
} = CONNECT_NAMES;

/** Names in {@linkcode PoolOptions}. */
export const POOL_NAMES: OptionNames<PoolOptions> = {
  ...POOLED_CONNECTION_NAMES,
  backends: true,
  balance: true,
  maxPerBackend: true,
  maxConnections: true,
  maxWaiting: true,
  acquireTimeoutMs: true,
  timeoutMs: true,
  maxDialAttempts: true,
  idleTimeoutMs: true,
  isReusable: true,
  breaker: BREAKER_NAMES,
  outliers: OUTLIER_NAMES,
  health: HEALTH_NAMES,
  retryBudget: RETRY_BUDGET_NAMES,
  resolveIntervalMs: true,
  drainTimeoutMs: true,
  logger: true,
  onError: true,
};
