// closeLink(): how a client ends its link in order, and what it says of that.
import type { Connection } from "../connection.ts";
import { timeLeft } from "../async/deadline.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { SendBuffer } from "./send_buffer.ts";

/**
 * Writes what was sent, lets calls end, and closes the link. Returns why it ended otherwise. Never
 * rejects.
 */
export async function closeLink(
  link: Pick<Connection, "abort" | "close" | "closed">,
  sendBuffer: SendBuffer,
  timeoutMs: number,
): Promise<Error | null> {
  const startedMs = performance.now();
  const timer = setTimeout(() => {
    const text = `Cannot close in order within ${timeoutMs} ms: the server does not read`;
    link.abort(new TimeoutError("ERR_WRITE_TIMEOUT", text, { cutConnections: 1 }));
  }, timeoutMs);
  try {
    // All of it fails when the link is lost; its end says why.
    await Promise.race([sendBuffer.flush().catch(() => {}), link.closed]);
    clearTimeout(timer);
    const late = await link.close({ timeoutMs: timeLeft(timeoutMs, startedMs) }).then(
      () => null,
      (error) => isDrainTimeout(error) ? error : null,
    );
    return (await link.closed).error ?? late;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Throws what a client's close in order has cost: accepted bytes that were not written because of
 * `cause`, or calls that took too long.
 */
export function throwIfCut(cause: unknown, unsentBytes: number): void {
  if (unsentBytes === 0) {
    if (isDrainTimeout(cause)) throw cause;
    return;
  }
  const text =
    `Cannot close in order: ${unsentBytes} bytes that had been accepted could not be written`;
  throw new ClosedError("ERR_CLOSED", text, { cause, unsentBytes });
}

/** The error of what is called on a client that is closed, because of `cause`. */
export function closedError(action: string, cause?: unknown): ClosedError {
  return new ClosedError("ERR_CLOSED", `Cannot ${action}: the client was closed`, { cause });
}

function isDrainTimeout(error: unknown): error is TimeoutError {
  return error instanceof TimeoutError && error.code === "ERR_DRAIN_TIMEOUT";
}
