// Options of an Admission: what they are, their defaults and their ranges.
import { checkDurationMs, checkInteger, checkNumber, checkOneOf } from "../options/check.ts";
import type { TokenBucketOptions } from "../collections/token_bucket.ts";

/** Options of an `Admission`. A connection is pending until its handshake has finished. */
export interface AdmissionOptions {
  /**
   * Connections at a time, pending ones included.
   * @default {1000, what a process with few descriptors can hold}
   */
  readonly maxConnections?: number | undefined;
  /**
   * Pending connections at a time. At most `maxConnections` count.
   *
   * @default {500} room for a burst of honest clients after a restart, whose handshakes all run at
   * once, so that for a while none finishes; with `pendingDrop: "newest"` 100, as OpenSSH's
   * MaxStartups
   */
  readonly maxPending?: number | undefined;
  /**
   * Pending connections from which on early drop may strike: with a chance that grows from 0 here to 1 at
   * `maxPending`. As much as `maxPending` or more: never before that is reached.
   *
   * @default {`maxPending`} while there is room no handshake has to give way; with `pendingDrop:
   * "newest"` 30, as in OpenSSH
   */
  readonly pendingDropStart?: number | undefined;
  /** Pending connections of one source at a time; see `SourceExemptions` for exempt sources. @default {16} */
  readonly maxPendingPerSource?: number | undefined;
  /**
   * What gives way when there are too many pending connections. `"oldest"`: the one that has been
   * pending longest, once handshakes have stalled (see `stallMs`); a flood of silent clients then
   * cannot lock other clients out. `"newest"`: the one that just came, as in OpenSSH; silent
   * clients hold the door until their deadline.
   *
   * @default {"oldest"}
   */
  readonly pendingDrop?: "oldest" | "newest" | undefined;
  /**
   * Time without a finished handshake, in milliseconds, after which the oldest pending connection
   * gives way; it has itself had at least this long. While handshakes finish, a burst of newcomers
   * waits instead, and is taken in as fast as handshakes can be done; only what has been pending
   * twenty times as long gives way even then.
   *
   * @default {50, several times what a handshake takes on a busy machine}
   */
  readonly stallMs?: number | undefined;
  /** Connections of one source at a time, loopback included. @default {none but maxConnections} */
  readonly maxConnectionsPerSource?: number | undefined;
  /** New connections per second of one source, loopback included. @default {not limited} */
  readonly connectionsPerSecondPerSource?: number | undefined;
  /** New connections of one source at once after a rest. @default {one second of the rate, at least 1} */
  readonly connectionBurstPerSource?: number | undefined;
  /** Sources whose rate is remembered. @default {65536} */
  readonly maxSources?: number | undefined;
}

/** Options of an `Admission`, checked and with their defaults. */
export interface AdmissionLimits {
  /** Connections at a time. */
  readonly maxConnections: number;
  /** Pending connections at a time; no more than `maxConnections`. */
  readonly maxPending: number;
  /** Pending connections from which on early drop may strike; no more than `maxPending`. */
  readonly pendingDropStart: number;
  /** Pending connections of one source at a time. */
  readonly maxPendingPerSource: number;
  /** What gives way. */
  readonly pendingDrop: "oldest" | "newest";
  /** Time without a finished handshake after which the oldest pending one gives way. */
  readonly stallMs: number;
  /** Connections of one source at a time; `Infinity` for no limit of its own. */
  readonly maxConnectionsPerSource: number;
  /** New connections per source; `null` for no limit. */
  readonly rate: TokenBucketOptions | null;
  /** Sources whose rate is remembered. */
  readonly maxSources: number;
}

/** Most connections that a limit can be set to: more descriptors than any system allows a process. */
const MOST = 2 ** 24;

/**
 * Checks the options of an `Admission` and fills in the defaults.
 *
 * @throws {TypeError} when an option has the wrong type
 * @throws {RangeError} when an option is out of range
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(resolveAdmission({ maxConnections: 50 }).maxPending, 50);
 * ```
 */
export function resolveAdmission(options: AdmissionOptions): AdmissionLimits {
  const action = "Cannot limit connections";
  const { maxConnections = 1000, maxPendingPerSource = 16, maxConnectionsPerSource } = options;
  const { pendingDrop = "oldest", stallMs = 50, maxSources = 65_536 } = options;
  const { maxPending = pendingDrop === "newest" ? 100 : 500 } = options;
  const { pendingDropStart = pendingDrop === "newest" ? 30 : maxPending } = options;
  const connections = checkInteger(action, "maxConnections", maxConnections, 1, MOST);
  const pending = Math.min(checkInteger(action, "maxPending", maxPending, 1, MOST), connections);
  return {
    maxConnections: connections,
    maxPending: pending,
    pendingDropStart: Math.min(
      checkInteger(action, "pendingDropStart", pendingDropStart, 0, MOST),
      pending,
    ),
    maxPendingPerSource: checkInteger(action, "maxPendingPerSource", maxPendingPerSource, 1, MOST),
    pendingDrop: checkOneOf(action, "pendingDrop", pendingDrop, ["oldest", "newest"]),
    stallMs: checkDurationMs(action, "stallMs", stallMs, { maxMs: 60_000 }),
    maxConnectionsPerSource: maxConnectionsPerSource === undefined
      ? Infinity
      : checkInteger(action, "maxConnectionsPerSource", maxConnectionsPerSource, 1, MOST),
    rate: resolveRate(action, options),
    maxSources: checkInteger(action, "maxSources", maxSources, 1, MOST),
  };
}

function resolveRate(action: string, options: AdmissionOptions): TokenBucketOptions | null {
  const { connectionsPerSecondPerSource: rate, connectionBurstPerSource: burst } = options;
  if (rate === undefined) {
    if (burst === undefined) return null;
    throw new TypeError(
      `${action}: "connectionBurstPerSource" needs "connectionsPerSecondPerSource" beside it`,
    );
  }
  const perSecond = checkNumber(action, "connectionsPerSecondPerSource", rate, 0.0001, 1e9);
  if (burst === undefined) return { perSecond };
  return { perSecond, burst: checkNumber(action, "connectionBurstPerSource", burst, 1, 1e9) };
}
