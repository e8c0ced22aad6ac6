// Errors of a drain: they count what a server could not end in order.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Held } from "./served_connections.ts";

/** The error of a drain that took too long. `running` counts handlers that still ran. */
export function drainedLate(timeoutMs: number, running: number, held: Held): TimeoutError {
  const { connections: cutConnections, bytes: cutBytes } = held;
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot drain within ${timeoutMs} ms: ${count(running, "handler")} still ran, ` +
      `${count(cutConnections, "connection")} with ${
        count(cutBytes, "byte")
      } received or not yet sent were cut`,
    { cutConnections, cutBytes },
  );
}

/**
 * The error of a drain in which peers sent more than is read; `null` when no connection left bytes
 * unread.
 */
export function drainLeft(
  { connections: cutConnections, bytes: cutBytes }: Held,
): TimeoutError | null {
  if (cutConnections === 0) return null;
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot drain all that had arrived: ${count(cutConnections, "connection")} went on sending, ` +
      `${count(cutBytes, "byte")} that came were dropped`,
    { cutConnections, cutBytes },
  );
}

/** The error of a drain during which the server was closed. */
export function closedMeanwhile(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot drain to the end: the server was closed meanwhile");
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
