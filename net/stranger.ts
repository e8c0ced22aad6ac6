// nameStranger(): an error about bytes that are no message, with what they are instead.
import { FramingError, type FramingErrorCode } from "../errors.ts";
import { describeFirstBytes } from "./first_bytes.ts";

/**
 * Returns the error with what the peer sent in place of a message, where its first bytes tell: TLS, HTTP, a PROXY header, text. Other
 * errors than those of a framing come back as they are.
 *
 * @param first The start of what came from the peer
 *
 * @example
 * ```ts
 * import { FramingError } from "../errors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new FramingError("ERR_FRAME_TOO_LARGE", "Cannot read the message");
 * const http = new TextEncoder().encode("GET / HTTP/1.1");
 * assertEquals(nameStranger(error, http).message, "Cannot read the message; the peer sent an HTTP request");
 * ```
 */
export function nameStranger(error: Error, first: Uint8Array): Error {
  if (!(error instanceof FramingError)) return error;
  const found = describeFirstBytes(first);
  if (found === undefined) return error;
  // Nothing is quoted: it may be the start of a message, which is in no log.
  const what = found.startsWith("text:") ? "text" : found;
  const hint = /\bTLS\b/.test(what) ? ': it speaks TLS: give "tls" on this side too, or on neither' : "";
  const text = `${error.message}; the peer sent ${what}${hint}`;
  return new FramingError(error.code as FramingErrorCode, text, { cause: error });
}
