// Errors of a drain: what a server could not end in order, counted for its caller.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Held } from "./served_connections.ts";

/** The drain took too long, and the rest was cut. `running` counts handlers that still ran. */
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

/** Peers sent so much that not all was read which may have arrived before the drain; `null` when there are none. */
export function drainLeft({ connections: cutConnections, bytes: cutBytes }: Held): TimeoutError | null {
  if (cutConnections === 0) return null;
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot drain all that had arrived: ${count(cutConnections, "connection")} went on sending, ` +
      `${count(cutBytes, "byte")} that came were dropped`,
    { cutConnections, cutBytes },
  );
}

/** The server was closed while it drained. */
export function closedMeanwhile(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot drain to the end: the server was closed meanwhile");
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
