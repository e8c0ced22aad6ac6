// Error lines: where commands log errors of a server or a wire that no caller can receive.
import { AuthError, ParleyError, RemoteError } from "../../errors.ts";
import { isHangUp } from "../../net/transport/faults.ts";
import type { Address } from "../../net/transport/transport.ts";
import { isPeerFault } from "../../server/reporter.ts";
import type { ServeErrorContext, WorkersErrorContext } from "../../server.ts";
import type { WireErrorContext } from "../../wire/mod.ts";
import { addressText } from "../command/address.ts";
import { hintFor } from "./hints.ts";
import type { LimitedLines } from "./limited_lines.ts";

/** What is logged, and at which level; `null` where the caller that waits reports it. */
type Line = readonly [level: "debug" | "info" | "warn" | "error", text: string] | null;

const WIRE_LINES: Readonly<Record<WireErrorContext["phase"], Line>> = {
  accept: ["warn", "A connection could not be accepted"],
  certificates: ["warn", "Certificates need a look; those in force stay so"],
  connect: null,
  handshake: ["warn", "A client was not let in"],
  hook: ["warn", "A hook failed"],
  listen: null,
  refused: ["warn", "A connection was refused"],
  session: ["warn", "A session did not end in order"],
  stream: ["warn", "A stream broke"],
};

const SERVER_LINES: Readonly<Record<ServeErrorContext["phase"], Line>> = {
  accept: ["warn", "A connection could not be accepted"],
  certificates: ["warn", "Certificates need a look; those in force stay so"],
  close: ["info", "A connection ended before all was sent"],
  connection: ["warn", "A connection ended early"],
  drain: null,
  handshake: ["warn", "A client was not let in"],
  handler: ["info", "A connection ended early"],
  hook: ["warn", "A hook failed"],
  listen: null,
  refused: ["warn", "A connection was refused"],
};

const WORKER_DIED: Line = ["error", "A worker died; its connections are lost, it is started again"];

/** A probe that comes and goes is healthy. */
const LEFT: Line = ["debug", "A client left in its handshake"];

/** Takes errors of a wire, for its `onError`. */
export function wireErrorsTo(
  lines: LimitedLines,
): (error: unknown, context: WireErrorContext) => void {
  const tell = teller(lines);
  return (error, { phase, session, remoteAddr }) => {
    // The code that decides logs whose token was wrong.
    if (phase === "handshake" && error instanceof AuthError) return;
    const fields = session === undefined ? peerOf(remoteAddr) : { identity: session.identity };
    tell(phase === "handshake" && isHangUp(error) ? LEFT : WIRE_LINES[phase], error, fields);
  };
}

/** Takes errors of a server, for its `onError`. */
export function serverErrorsTo(
  lines: LimitedLines,
): (error: unknown, context: ServeErrorContext) => void {
  const tell = teller(lines);
  return (error, { phase, connection, remoteAddr = connection?.remoteAddr }) => {
    const fields = {
      ...connection !== undefined && { connection: connection.id },
      ...peerOf(remoteAddr),
    };
    tell(lineOf(error, phase), error, fields);
  };
}

/** Takes errors of a server of workers, for its `onError`. */
export function workersErrorsTo(
  lines: LimitedLines,
): (error: unknown, context: WorkersErrorContext) => void {
  const tell = teller(lines);
  return (error, { phase, worker, connection, remoteAddr, lostConnections }) => {
    const fields = {
      ...connection !== undefined && { connection },
      ...peerOf(remoteAddr),
      ...phase === "worker" && { worker, lostConnections },
    };
    tell(phase === "worker" ? WORKER_DIED : lineOf(error, phase), error, fields);
  };
}

function lineOf(error: unknown, phase: ServeErrorContext["phase"]): Line {
  if (phase === "handshake" && isHangUp(error)) return LEFT;
  // What the handler says of its peer's fault is no less than what it does not say.
  if (phase === "handler" && isPeerFault(error)) return SERVER_LINES.connection;
  return SERVER_LINES[phase];
}

function peerOf(address: Address | undefined): { readonly peer?: string | undefined } {
  return address === undefined ? {} : { peer: addressText(address) };
}

/**
 * Writes lines; those with errors of one code are limited together, so that none of another code is
 * missed.
 */
function teller(
  lines: LimitedLines,
): (line: Line, error: unknown, fields: Record<string, unknown>) => void {
  return (line, error, fields) => {
    if (line === null) return;
    const [level, text] = line;
    lines.write({ level, text, fields: { ...fields, ...reasonOf(error) }, kind: kindOf(error) });
  };
}

/** The code of an error, which tells kinds of lines apart; "" where there is none, or a peer chose it. */
export function kindOf(error: unknown): string {
  return error instanceof ParleyError && !(error instanceof RemoteError) ? error.code : "";
}

/** An error as fields of a line for people: what was wrong, and what to try. */
export function reasonOf(error: unknown): Record<string, string> {
  const hint = hintFor(error);
  const reason = error instanceof Error ? error.message : String(error);
  return hint === null ? { reason } : { reason, hint };
}
