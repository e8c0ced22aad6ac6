// Error lines: where commands tell of errors of a server or a wire that no caller can be told.
import { AuthError } from "../errors.ts";
import { KindRateLimiter } from "../log_text.ts";
import type { Logger } from "../logger.ts";
import type { ServeErrorContext } from "../server.ts";
import type { WireErrorContext } from "../wire/mod.ts";
import { hintFor } from "./hints.ts";

/** What is told, and at which level; `null` where whoever waits tells it. */
type Line = readonly [level: "debug" | "info" | "warn" | "error", text: string] | null;

const WIRE_LINES: Readonly<Record<WireErrorContext["phase"], Line>> = {
  accept: ["warn", "A connection could not be accepted"],
  certificates: ["warn", "Certificates need a look; those in force stay so"],
  connect: null,
  handshake: ["warn", "A client was not let in"],
  hook: ["warn", "A hook failed"],
  listen: null,
  session: ["warn", "A session did not end in order"],
  stream: ["warn", "A stream broke"],
};

const SERVER_LINES: Readonly<Record<ServeErrorContext["phase"], Line>> = {
  accept: ["warn", "A connection could not be accepted"],
  certificates: ["warn", "Certificates need a look; those in force stay so"],
  close: ["info", "A connection ended before all was sent"],
  drain: null,
  // Whoever scans the network would fill the log.
  handshake: ["debug", "A client was not let in"],
  handler: ["info", "A connection ended early"],
  hook: ["warn", "A hook failed"],
  listen: null,
};

/** Takes errors of a wire, for its `onError`. */
export function wireErrorsTo(logger: Logger): (error: unknown, context: WireErrorContext) => void {
  const tell = teller(logger);
  return (error, { phase, session }) => {
    // Whose token was wrong is told by who decided that.
    if (phase === "handshake" && error instanceof AuthError) return;
    tell(WIRE_LINES[phase], error, session === undefined ? {} : { identity: session.identity });
  };
}

/** Takes errors of a server, for its `onError`. */
export function serverErrorsTo(logger: Logger): (error: unknown, context: ServeErrorContext) => void {
  const tell = teller(logger);
  return (error, { phase, connection }) => {
    tell(SERVER_LINES[phase], error, connection === undefined ? {} : { connection: connection.id });
  };
}

/** Writes lines, so often and not more: strangers can bring them about. */
function teller(logger: Logger): (line: Line, error: unknown, fields: Record<string, unknown>) => void {
  const limiter = new KindRateLimiter();
  return (line, error, fields) => {
    if (line === null) return;
    const [level, text] = line;
    const decision = limiter.ask(text, performance.now());
    if (!decision.write) return;
    logger[level](text, { ...fields, ...reasonOf(error), ...leftOutOf(decision) });
  };
}

/** An error as fields of a line for people: what was wrong, and what to try. */
export function reasonOf(error: unknown): Record<string, string> {
  const hint = hintFor(error);
  const reason = error instanceof Error ? error.message : String(error);
  return hint === null ? { reason } : { reason, hint };
}

/** How many lines were left out before one, where any were. */
export function leftOutOf({ leftOut }: { readonly leftOut: number }): { readonly leftOut?: number } {
  return leftOut > 0 ? { leftOut } : {};
}
