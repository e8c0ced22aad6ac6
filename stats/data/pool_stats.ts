// PoolStats: plain data about what a pool and its backends have done so far.
import type { TrafficCounters } from "./counters.ts";

/** Where a circuit is: `half-open` while one trial is under way. */
export type BreakerState = "closed" | "open" | "half-open";

/**
 * Where a backend is. `ready`: it gets work. `ejected`: it was worse than the others, and rests.
 * `unwell`: its health check failed. `open`: its circuit breaker is open; `half-open`: a trial is
 * under way. `draining`: it gets no more work; `drained`: nor has any.
 */
export type BackendState =
  | "ready"
  | "ejected"
  | "unwell"
  | "open"
  | "half-open"
  | "draining"
  | "drained";

/** What is counted for each backend. */
export interface BackendCounters extends TrafficCounters {
  /** Leases that began. */
  leases: number;
  /** Leases that began with a connection that had been used before. */
  leasesReused: number;
  /** Leases that ended badly: the connection failed, an answer is missing, or the holder said so. */
  leasesFailed: number;
  /** Leases whose connection was not used again, for whatever reason. */
  leasesSpoiled: number;
  /** Dials. */
  dials: number;
  /** Dials that failed. */
  dialFailures: number;
  /** Idle connections that the backend ended, or on which it spoke unasked. */
  idleLost: number;
  /** Times that the circuit breaker opened. */
  breakerOpened: number;
  /** Times that it was ejected as an outlier. */
  ejections: number;
  /** Health checks. */
  healthChecks: number;
  /** Health checks that failed. */
  healthFailures: number;
}

/** What is counted for the pool. */
export interface PoolCounters {
  /** Calls of `acquire`. */
  acquires: number;
  /** Those that had to wait. */
  waits: number;
  /** Those that were given up by their signal. */
  waitsAborted: number;
  /** Those that waited too long. */
  waitTimeouts: number;
  /** Those that were refused as too many waited. */
  queueFull: number;
  /** Those that failed as their dials did. */
  dialsExhausted: number;
  /** Those that failed because no backend was up. */
  noBackend: number;
  /** Second and later attempts, of dials and of work. */
  retries: number;
  /** Attempts that the budget did not allow. */
  retriesRefused: number;
}

/** What is known of one backend. */
export interface BackendStats extends Readonly<BackendCounters> {
  /** Its name. */
  readonly name: string;
  /** Where it is. */
  readonly address: string;
  /** What holds now. */
  readonly state: BackendState;
  /** Where its circuit is; `null` without a breaker. */
  readonly breaker: BreakerState | null;
  /** Its share of the work. */
  readonly weight: number;
  /** Connections that no caller uses. */
  readonly idle: number;
  /** Connections that are leased. */
  readonly busy: number;
  /** Connections that are being opened. */
  readonly dialling: number;
  /** Connections that are being closed. */
  readonly closing: number;
}

/** What a pool has done so far. It is frozen, and survives JSON unchanged. */
export interface PoolStats extends Readonly<PoolCounters> {
  /** Tells it from other snapshots. */
  readonly kind: "pool";
  /** State of the pool. */
  readonly state: "open" | "closing" | "closed";
  /** When the snapshot was taken, in ms since the epoch. */
  readonly takenAtMs: number;
  /** Callers that wait for a connection. */
  readonly waiting: number;
  /** Each backend. */
  readonly backends: readonly BackendStats[];
}

/** Counters of a backend, all 0. */
export function newBackendCounters(): BackendCounters {
  return {
    bytesIn: 0,
    bytesOut: 0,
    messagesIn: 0,
    messagesOut: 0,
    leases: 0,
    leasesReused: 0,
    leasesFailed: 0,
    leasesSpoiled: 0,
    dials: 0,
    dialFailures: 0,
    idleLost: 0,
    breakerOpened: 0,
    ejections: 0,
    healthChecks: 0,
    healthFailures: 0,
  };
}

/** Counters of a pool, all 0. */
export function newPoolCounters(): PoolCounters {
  return {
    acquires: 0,
    waits: 0,
    waitsAborted: 0,
    waitTimeouts: 0,
    queueFull: 0,
    dialsExhausted: 0,
    noBackend: 0,
    retries: 0,
    retriesRefused: 0,
  };
}
