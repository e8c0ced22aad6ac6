// closeLink(): how a client ends its link in order.
import type { Connection } from "../connection.ts";
import { TimeoutError } from "../errors.ts";
import type { SendBuffer } from "./send_buffer.ts";

/** Writes what was sent, and closes the link. Returns why it ended otherwise. Never rejects. */
export async function closeLink(
  link: Pick<Connection, "abort" | "close" | "closed">,
  sendBuffer: SendBuffer,
  timeoutMs: number,
): Promise<Error | null> {
  const timer = setTimeout(() => {
    const text = `Cannot close in order within ${timeoutMs} ms: the server does not read`;
    link.abort(new TimeoutError("ERR_WRITE_TIMEOUT", text, { cutConnections: 1 }));
  }, timeoutMs);
  try {
    // All of it fails when the link is lost; its end says why.
    await Promise.race([sendBuffer.flush().catch(() => {}), link.closed]);
    await link.close().catch(() => {});
    return (await link.closed).error;
  } finally {
    clearTimeout(timer);
  }
}
