// Errors of leases: how the holder learns of its connection's end, and which end was no attempt.
import { ClosedError } from "../errors.ts";

/**
 * Errors of connections that had ended before anything came on them in this lease: the end was on
 * its way as the lease began.
 */
const STALE = new WeakSet<object>();

/**
 * Whether an error says that a connection kept for reuse had ended already: its work belongs on
 * another one, and was no attempt.
 */
export function isStaleEnd(error: unknown): boolean {
  return typeof error === "object" && error !== null && STALE.has(error);
}

/** The error for which {@linkcode isStaleEnd} holds. */
export function staleEnd(backend: string, action: string): ClosedError {
  const error = new ClosedError(
    "ERR_CLOSED",
    `Cannot ${action}: the backend "${backend}" had ended the connection, which was kept for reuse`,
  );
  STALE.add(error);
  return error;
}

/** The error of whatever is called after the lease. */
export function gone(action: string): ClosedError {
  return new ClosedError(
    "ERR_CLOSED",
    `Cannot ${action}: the lease on the connection has ended: acquire another one`,
  );
}

/** Why the signal of a leased connection aborts when its backend has left. */
export function departed(backend: string): ClosedError {
  return new ClosedError("ERR_CLOSED", `The backend "${backend}" has ended the connection`);
}
