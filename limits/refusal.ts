// refusalError(): why a connection was refused, with the limit that did it and what to change.
import { LimitError } from "../errors.ts";
import type { AdmissionLimits } from "./admission_options.ts";

/** Why a connection was refused, or cut for another before its handshake had finished. */
export type RefusalReason =
  | "draining"
  | "penalized"
  | "rate_limited"
  | "too_many_from_source"
  | "too_many_pending_from_source"
  | "too_many_connections"
  | "too_many_pending"
  | "early_drop";

/** A counter for each reason. */
export function noRefusals(): Record<RefusalReason, number> {
  return {
    draining: 0,
    penalized: 0,
    rate_limited: 0,
    too_many_from_source: 0,
    too_many_pending_from_source: 0,
    too_many_connections: 0,
    too_many_pending: 0,
    early_drop: 0,
  };
}

/**
 * The error of a refusal, for the owner of the server.
 *
 * @param source Key of the source, see `sourceKey`
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { resolveAdmission } from "./admission_options.ts";
 *
 * const error = refusalError("too_many_connections", resolveAdmission({ maxConnections: 2 }), null);
 * assertEquals(error.code, "ERR_TOO_MANY_CONNECTIONS");
 * ```
 */
export function refusalError(
  reason: RefusalReason,
  limits: AdmissionLimits,
  source: string | null,
): LimitError {
  const code = reason === "rate_limited" ? "ERR_RATE_LIMITED" : "ERR_TOO_MANY_CONNECTIONS";
  return new LimitError(
    code,
    `Cannot let a connection in: ${why(reason, limits, source ?? "this source")}`,
  );
}

function why(reason: RefusalReason, limits: AdmissionLimits, source: string): string {
  const exempt = `list ${source} in "exemptSources" if many clients stand behind it`;
  switch (reason) {
    case "draining":
      return "the server is draining";
    case "penalized":
      return `too many handshakes of ${source} failed: see why they fail, or ${exempt}`;
    case "rate_limited":
      return `${source} connects too often: raise "connectionsPerSecondPerSource", or ${exempt}`;
    case "too_many_from_source":
      return `${source} has as many as "maxConnectionsPerSource" allows, ${limits.maxConnectionsPerSource}: raise it, or ${exempt}`;
    case "too_many_pending_from_source":
      return `${source} has as many handshakes under way as "maxPendingPerSource" allows, ${limits.maxPendingPerSource}: raise it, ` +
        `or ${exempt}`;
    case "too_many_connections":
      return `the server is full: as many are open as "maxConnections" allows, ${limits.maxConnections}: raise it`;
    case "too_many_pending":
    case "early_drop":
      return `too many handshakes are under way: raise "maxPending", ${limits.maxPending}`;
  }
}
