// wireErrorsTo(): where commands tell of errors of a wire that no caller can be told.
import { AuthError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { WireErrorContext } from "../wire/mod.ts";
import { hintFor } from "./hints.ts";

const TEXTS: Readonly<Record<WireErrorContext["phase"], string | null>> = {
  accept: "A connection could not be accepted",
  certificates: "Changed certificates cannot be used; the old ones hold",
  // These are told by who waits for them.
  connect: null,
  handshake: "A client was not let in",
  hook: "A hook failed",
  listen: null,
  session: "A session did not end in order",
  stream: "A stream broke",
};

/** Takes errors of a wire, for its `onError`. */
export function wireErrorsTo(logger: Logger): (error: unknown, context: WireErrorContext) => void {
  return (error, { phase, session }) => {
    const text = TEXTS[phase];
    // Whose token was wrong is told by who decided that.
    if (text === null || (phase === "handshake" && error instanceof AuthError)) return;
    const fields = session === undefined ? {} : { identity: session.identity };
    logger.warn(text, { ...fields, ...reasonOf(error) });
  };
}

/** An error as fields of a line for people: what was wrong, and what to try. */
export function reasonOf(error: unknown): Record<string, string> {
  const hint = hintFor(error);
  const reason = error instanceof Error ? error.message : String(error);
  return hint === null ? { reason } : { reason, hint };
}
