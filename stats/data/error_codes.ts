// Codes of errors that statistics tell apart: a fixed set, whatever a peer says.
import { ParleyError, type ParleyErrorCode, type RemoteErrorCode } from "../../errors.ts";

/** What stands for a code or a name that is none of ours. */
const OTHER = "_OTHER";

/** Codes of `RemoteError` that Parley itself sends; all others are the choice of the peer that answers. */
const REMOTE_CODES = [
  "ERR_AUTH",
  "ERR_BUSY",
  "ERR_FORBIDDEN",
  "ERR_GOING_AWAY",
  "ERR_HANDLER",
  "ERR_NAME_TAKEN",
  "ERR_NO_HANDLER",
  "ERR_NO_PEER",
  "ERR_TARGET_REFUSED",
  "ERR_TARGET_TIMEOUT",
] as const satisfies readonly RemoteErrorCode[];

const REMOTE: ReadonlySet<ParleyErrorCode> = new Set(REMOTE_CODES);

/** Longest name of an error class that is shown, in characters. */
const MAX_NAME = 60;

/**
 * Returns the code of an error of Parley's, else the name of its class. The code of a peer's answer is
 * returned only where it is one that Parley sends itself: each new value is a series that is kept for ever.
 *
 * @example
 * ```ts
 * import { RemoteError, TimeoutError } from "../../errors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errorCode(new TimeoutError("ERR_READ_TIMEOUT", "late")), "ERR_READ_TIMEOUT");
 * assertEquals(errorCode(new RemoteError("ERR_NO_PEER", "away")), "ERR_NO_PEER");
 * assertEquals(errorCode(new RemoteError("ERR_OF_THE_PEER", "no")), "_OTHER");
 * assertEquals(errorCode(new TypeError("no")), "TypeError");
 * ```
 */
export function errorCode(error: unknown): string {
  try {
    if (error instanceof ParleyError) {
      if (error.name === "RemoteError") return REMOTE.has(error.code) ? error.code : OTHER;
      return /^ERR_[A-Z0-9_]{1,60}$/.test(error.code) ? error.code : OTHER;
    }
    const name = error instanceof Error ? error.name : OTHER;
    return /^[A-Za-z_$][\w$]*$/.test(name) && name.length <= MAX_NAME ? name : OTHER;
  } catch {
    // What was thrown may have getters that throw.
    return OTHER;
  }
}

/**
 * Returns the code of an error of Parley's as it is, also one that the peer or a handler chose, else what
 * {@linkcode errorCode} returns. It is not for labels of metrics.
 *
 * @example
 * ```ts
 * import { RemoteError } from "../../errors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(chosenCode(new RemoteError("ERR_OF_THE_PEER", "no")), "ERR_OF_THE_PEER");
 * ```
 */
export function chosenCode(error: unknown): string {
  const isCode = error instanceof ParleyError && /^ERR_[A-Z0-9_]{1,60}$/.test(error.code);
  return isCode ? error.code : errorCode(error);
}
