// isStreamEnd(): whether what a handler of a stream threw is its own, or how the peer ended the stream.
import { anyInChain } from "../../error_chain.ts";
import { ParleyError, type ParleyErrorCode } from "../../errors.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { WireStream } from "./stream.ts";

/** Codes of waits for a peer that did nothing. */
const SILENCE: ReadonlySet<ParleyErrorCode> = new Set(["ERR_READ_TIMEOUT", "ERR_WRITE_TIMEOUT"]);

/** Codes of what a peer sent and no handler can use. */
const MALFORMED: ReadonlySet<ParleyErrorCode> = new Set([
  "ERR_CALL_FRAME",
  "ERR_WIRE_SEGMENT",
]);

/**
 * Whether an error of a handler only passes on what its peer did: it reset the stream, the session was lost,
 * it sent what is no segment or no call, or it was silent for longer than the handler wanted to wait.
 */
export function isStreamEnd(error: unknown, stream: WireStream, mux: MuxStream): boolean {
  const { signal } = mux;
  const code = signal.aborted && signal.reason instanceof ParleyError
    ? signal.reason.code
    : undefined;
  return anyInChain(error, (error) => {
    if (signal.aborted && error === stream.signal.reason) return true;
    if (!(error instanceof ParleyError)) return false;
    return error.code === code || MALFORMED.has(error.code) ||
      (SILENCE.has(error.code) && mux.hasGivenUp);
  });
}
