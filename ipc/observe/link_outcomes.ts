// Outcomes of links: which of them break the protocol, and which are reported.
import { FramingError, ParleyError, type ParleyErrorCode, ProtocolError } from "../../errors.ts";
import type { Address } from "../../net/transport/transport.ts";
import { addressText } from "../../net/transport/faults.ts";
import type { IpcReporter } from "./reporter.ts";
import type { LinkOutcome } from "../link/state.ts";

/**
 * Codes of outcomes that this side chose: the other side did nothing for too long, or a provider of
 * this side failed.
 */
const CHOSEN: ReadonlySet<ParleyErrorCode> = new Set([
  "ERR_KEEPALIVE_TIMEOUT",
  "ERR_READ_TIMEOUT",
  "ERR_SLOW_CONSUMER",
  "ERR_IPC_PROVIDER",
]);

/**
 * Returns the error by which the other side broke the protocol, or `null`. It breaks the protocol
 * by frames that the protocol does not have, by records that it did not seal, and by an end inside
 * either. A process that is killed while it sends ends inside a message too.
 */
export function breachOf({ error, cutInside }: LinkOutcome): ParleyError | null {
  if (!(error instanceof ParleyError) || error.code === "ERR_IPC_PROVIDER") return null;
  if (error instanceof ProtocolError || error instanceof FramingError) return error;
  if (error.code !== "ERR_RESET" || !cutInside) return null;
  return new FramingError(
    "ERR_FRAME_TRUNCATED",
    "Cannot read on: the connection ended inside a message: the other process was killed, or what is between the two cut it",
    { cause: error },
  );
}

/**
 * Reports an outcome, unless a caller of `close` or `abort` gets it, or the link ended in order.
 */
export function reportOutcome(reporter: IpcReporter, end: LinkOutcome, peer: string): void {
  const { error } = end;
  const breach = breachOf(end);
  if (breach !== null) return reporter.report(breach, "connection", peer);
  if (!(error instanceof ParleyError)) return;
  if (CHOSEN.has(error.code)) return reporter.report(error, "connection", peer);
  if (error.code === "ERR_RESET") reporter.vanished(error, peer);
}

/**
 * The other side as logs name it: by its address, or by the session where a unix socket has none.
 */
export function peerName(remoteAddr: Address | null, sessionId: string): string {
  return remoteAddr === null || remoteAddr.transport === "unix"
    ? sessionId
    : addressText(remoteAddr);
}
