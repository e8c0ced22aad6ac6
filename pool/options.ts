// Options of a Pool, their defaults, and their check before any I/O.
import { type ConnectOptions, resolveConnectOptions } from "../client/options.ts";
import type { Connection } from "../connection.ts";
import {
  checkDurationMs,
  checkFunction,
  checkInteger,
  checkLogger,
  checkNumber,
  checkOneOf,
} from "../options/check.ts";
import type { Logger } from "../log/logger.ts";
import type { Resolved } from "../options/resolved.ts";
import type { ClientTlsOptions } from "../tls/handshake/options.ts";
import { type Balance, BALANCES } from "./balance.ts";
import type { BreakerOptions, ResolvedBreakerOptions } from "./breaker.ts";
import { DEFAULT_OUTLIERS, type OutlierOptions, type ResolvedOutlierOptions } from "./outliers.ts";
import type { PoolErrorContext } from "./reporter.ts";
import type { RetryBudgetOptions } from "./retry_budget.ts";

/** Where a pool can send work; `server.addr` of a server in the same process has the same form. */
export interface Backend {
  /** Name in statistics, and for `drain` and `remove`. @default {host and port, or the path} */
  name?: string | undefined;
  /** Name or address to connect to. @default {"127.0.0.1"} */
  hostname?: string | undefined;
  /** Port to connect to. */
  port?: number | undefined;
  /** Path of a unix socket to connect to instead. */
  path?: string | undefined;
  /** Its share of the work, compared with others, 0.001 to 1000000. @default {1} */
  weight?: number | undefined;
  /** Most connections to it. @default {`maxPerBackend`} */
  maxConnections?: number | undefined;
  /** Options that replace the pool's `tls` for this backend. */
  tls?: ClientTlsOptions | undefined;
  /**
   * Resolves the name repeatedly: each of its addresses becomes a backend, `name/address`; backends
   * whose address vanishes are drained. `true` uses the system's resolver; a function can use any
   * other. A look-up that takes longer than the pool's `timeoutMs` is given up, its signal aborts,
   * and the look-up starts again.
   *
   * @default {false} the system picks one address at each dial
   */
  resolve?: boolean | Resolver | undefined;
  /** Kind of address, as in `server.addr`; optional. */
  transport?: "tcp" | "unix" | "memory" | undefined;
}

/** Returns the addresses of a name. */
export type Resolver = (
  hostname: string,
  options: { readonly signal: AbortSignal },
) => Promise<readonly string[]>;

/** The traffic of a connection during one lease. */
export interface LeaseUse {
  /** Messages that the holder sent. */
  readonly messagesOut: number;
  /** Messages that the holder received. */
  readonly messagesIn: number;
}

/** Options of the health checks. */
export interface HealthOptions {
  /**
   * Checks a backend with a message of your protocol: the backend is healthy unless this throws,
   * returns `false` or takes longer than `timeoutMs`. Each backend has a separate connection for
   * checks, which does not count as one of the pool's; each check may use it until it has returned.
   * When a backend becomes unwell, `onError` gets the reason.
   */
  check: (conn: Connection, options: { readonly signal: AbortSignal }) => Promise<unknown>;
  /** Time in ms between two checks of a backend. @default {1000} */
  intervalMs?: number | undefined;
  /** Longest time in ms for one check, dialling included. @default {1000} */
  timeoutMs?: number | undefined;
  /** Failed checks in a row after which the backend gets no more work, 1 to 100. @default {1} */
  failures?: number | undefined;
}

/** Options of a {@linkcode Pool}; those of `connect` hold for each of its connections. */
export interface PoolOptions extends
  Omit<
    ConnectOptions,
    "hostname" | "port" | "path" | "transport" | "signal" | "data" | "timeoutMs" | "idleTimeoutMs"
  > {
  /** The backends; more can be added later. */
  backends: readonly Backend[];
  /** How a backend is chosen. @default {"two-choices"} */
  balance?: Balance | undefined;
  /** Most connections to one backend, 1 to 1000000. @default {16} */
  maxPerBackend?: number | undefined;
  /**
   * Most connections in all, 1 to 1000000.
   * @default {256} a quarter of the descriptors that a process usually has
   */
  maxConnections?: number | undefined;
  /**
   * Most callers that wait for a connection, 1 to 1000000; the next one gets `ERR_QUEUE_FULL`.
   *
   * @default {1000}
   */
  maxWaiting?: number | undefined;
  /** Longest time in ms that `acquire` waits. @default {10000} */
  acquireTimeoutMs?: number | undefined;
  /** Longest time in ms for one dial, with name and TLS. @default {3000} */
  timeoutMs?: number | undefined;
  /** Backends that are dialled for one `acquire` before it fails, 1 to 100. @default {3} */
  maxDialAttempts?: number | undefined;
  /** An idle connection is closed after this time in ms. @default {60000} */
  idleTimeoutMs?: number | undefined;
  /**
   * Whether a connection may be used again after a lease. The pool asks only for intact
   * connections: a connection that ended in either direction, holds unread or unsent bytes, has a
   * reader that still waits, or was left with another framing or tuning is never used again. When
   * it throws, the connection is not used again, and `onError` gets the error.
   *
   * @default when the holder received as many messages as it sent, or more: an answer for each
   * question; never with `raw()`
   */
  isReusable?: ((use: LeaseUse) => boolean) | undefined;
  /** Circuit breaker of each backend; `false` for none. */
  breaker?: BreakerOptions | false | undefined;
  /** Ejection of backends that are worse than the others; `false` for none. */
  outliers?: OutlierOptions | false | undefined;
  /** Health checks; none by default. */
  health?: HealthOptions | undefined;
  /** Limits retries, so that they cannot multiply a failure. */
  retryBudget?: RetryBudgetOptions | undefined;
  /** Time in ms between two look-ups of a name with `resolve`. @default {30000} */
  resolveIntervalMs?: number | undefined;
  /**
   * Time in ms for leases to end in order when a backend is drained or the pool is closed.
   * @default {10000}
   */
  drainTimeoutMs?: number | undefined;
  /** Takes errors that no caller can receive. @default {the logger} */
  onError?: ((error: unknown, context: PoolErrorContext) => void) | undefined;
  /** Takes these errors without `onError`. @default {the console} */
  logger?: Logger | undefined;
}

/** {@linkcode PoolOptions} with every default filled in, checked. */
export interface ResolvedPoolOptions {
  /** The options of the user. */
  readonly given: PoolOptions;
  readonly balance: Balance;
  readonly maxPerBackend: number;
  readonly maxConnections: number;
  readonly maxWaiting: number;
  readonly acquireTimeoutMs: number;
  readonly timeoutMs: number;
  readonly maxDialAttempts: number;
  readonly idleTimeoutMs: number;
  readonly isReusable: (use: LeaseUse) => boolean;
  readonly breaker: ResolvedBreakerOptions | null;
  readonly outliers: ResolvedOutlierOptions | null;
  readonly health: Readonly<Resolved<HealthOptions>> | null;
  readonly retryBudget: Readonly<Resolved<RetryBudgetOptions>>;
  readonly resolveIntervalMs: number;
  readonly drainTimeoutMs: number;
}

const ACTION = "Cannot make the pool";
const MOST = 1_000_000;
const HOUR_MS = 3_600_000;

/**
 * Fills in defaults and checks everything but the backends.
 *
 * @throws {TypeError} when an option has the wrong type
 * @throws {RangeError} when a number is out of range
 */
export function resolvePoolOptions(given: PoolOptions): ResolvedPoolOptions {
  if (typeof given !== "object" || given === null || !Array.isArray(given.backends)) {
    throw new TypeError(`${ACTION}: the options must be an object with the array "backends"`);
  }
  const answersOnly = given.framing?.name !== "raw";
  const resolved = {
    given,
    balance: checkOneOf(ACTION, "balance", given.balance ?? "two-choices", BALANCES),
    maxPerBackend: checkInteger(ACTION, "maxPerBackend", given.maxPerBackend ?? 16, 1, MOST),
    maxConnections: checkInteger(ACTION, "maxConnections", given.maxConnections ?? 256, 1, MOST),
    maxWaiting: checkInteger(ACTION, "maxWaiting", given.maxWaiting ?? 1000, 1, MOST),
    acquireTimeoutMs: checkDurationMs(ACTION, "acquireTimeoutMs", given.acquireTimeoutMs ?? 10_000),
    timeoutMs: checkDurationMs(ACTION, "timeoutMs", given.timeoutMs ?? 3_000),
    maxDialAttempts: checkInteger(ACTION, "maxDialAttempts", given.maxDialAttempts ?? 3, 1, 100),
    idleTimeoutMs: checkDurationMs(ACTION, "idleTimeoutMs", given.idleTimeoutMs ?? 60_000),
    isReusable: given.isReusable ??
      (({ messagesIn, messagesOut }: LeaseUse) => answersOnly && messagesIn >= messagesOut),
    breaker: given.breaker === false ? null : resolveBreaker(given.breaker ?? {}),
    outliers: given.outliers === false ? null : resolveOutliers(given.outliers ?? {}),
    health: given.health === undefined ? null : resolveHealth(given.health),
    retryBudget: resolveBudget(given.retryBudget ?? {}),
    resolveIntervalMs: checkDurationMs(
      ACTION,
      "resolveIntervalMs",
      given.resolveIntervalMs ?? 30_000,
    ),
    drainTimeoutMs: checkDurationMs(ACTION, "drainTimeoutMs", given.drainTimeoutMs ?? 10_000),
  };
  checkFunction(ACTION, "isReusable", resolved.isReusable);
  if (given.onError !== undefined) checkFunction(ACTION, "onError", given.onError);
  if (given.logger !== undefined) checkLogger(ACTION, given.logger);
  // Options of connections are checked even when there is no backend yet.
  resolveConnectOptions({ ...given, port: 1, timeoutMs: resolved.timeoutMs, idleTimeoutMs: 0 });
  return resolved;
}

function resolveBreaker(given: BreakerOptions): ResolvedBreakerOptions {
  const { failures = 5, openMs = 1000, maxOpenMs = Math.max(30_000, openMs) } = given;
  checkInteger(ACTION, "breaker.failures", failures, 1, MOST);
  checkDurationMs(ACTION, "breaker.openMs", openMs, { maxMs: HOUR_MS });
  checkDurationMs(ACTION, "breaker.maxOpenMs", maxOpenMs, { minMs: openMs, maxMs: HOUR_MS });
  return { failures, openMs, maxOpenMs };
}

function resolveOutliers(given: OutlierOptions): ResolvedOutlierOptions {
  const resolved = { ...DEFAULT_OUTLIERS, ...definedOf(given) };
  if (given.maxEjectMs === undefined) {
    resolved.maxEjectMs = Math.max(resolved.maxEjectMs, resolved.ejectMs);
  }
  const { ejectMs } = resolved;
  checkDurationMs(ACTION, "outliers.intervalMs", resolved.intervalMs, {
    minMs: 10,
    maxMs: HOUR_MS,
  });
  checkInteger(ACTION, "outliers.minLeases", resolved.minLeases, 1, MOST);
  checkNumber(ACTION, "outliers.maxFailureRatio", resolved.maxFailureRatio, 0, 1);
  checkNumber(ACTION, "outliers.slowFactor", resolved.slowFactor, 1, MOST);
  checkNumber(ACTION, "outliers.slowMarginMs", resolved.slowMarginMs, 0, HOUR_MS);
  checkNumber(ACTION, "outliers.maxEjectedRatio", resolved.maxEjectedRatio, 0, 1);
  checkDurationMs(ACTION, "outliers.ejectMs", ejectMs, { maxMs: HOUR_MS });
  checkDurationMs(ACTION, "outliers.maxEjectMs", resolved.maxEjectMs, {
    minMs: ejectMs,
    maxMs: HOUR_MS,
  });
  return resolved;
}

function resolveHealth(given: HealthOptions): Resolved<HealthOptions> {
  const { check, intervalMs = 1000, timeoutMs = 1000, failures = 1 } = given;
  checkFunction(ACTION, "health.check", check);
  checkDurationMs(ACTION, "health.intervalMs", intervalMs, { minMs: 10, maxMs: HOUR_MS });
  checkDurationMs(ACTION, "health.timeoutMs", timeoutMs, { maxMs: HOUR_MS });
  checkInteger(ACTION, "health.failures", failures, 1, 100);
  return { check, intervalMs, timeoutMs, failures };
}

function resolveBudget(given: RetryBudgetOptions): Resolved<RetryBudgetOptions> {
  const { ratio = 0.2, minPerSecond = 10 } = given;
  checkNumber(ACTION, "retryBudget.ratio", ratio, 0, 1);
  checkNumber(ACTION, "retryBudget.minPerSecond", minPerSecond, 0, 1000);
  return { ratio, minPerSecond };
}

/** The members that are there; `undefined` must not hide a default. */
function definedOf<T extends object>(given: T): Partial<Resolved<T>> {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as Partial<
    Resolved<T>
  >;
}
