// Refusals: what a peer's code of refusal means here, as an error.
import {
  AuthError,
  ClosedError,
  type ClosedErrorCode,
  LimitError,
  type ParleyError,
  ProtocolError,
  RemoteError,
  TimeoutError,
  type TimeoutErrorCode,
} from "../../errors.ts";
import type { SessionRefusal, StreamRefusal } from "./frames.ts";

/** The error of a session that was refused. */
export function sessionRefused(code: SessionRefusal): ParleyError {
  const text = "Cannot join: the server refused the session";
  switch (code) {
    case "ERR_AUTH":
    case "ERR_FORBIDDEN":
      return new AuthError(code, `${text}: identity or token are not accepted`);
    case "ERR_VERSION":
      return new ProtocolError("ERR_WIRE_VERSION", `${text}: it speaks another version`);
    case "ERR_BUSY":
      return new LimitError("ERR_TOO_MANY_CONNECTIONS", `${text}: it is busy`);
    case "ERR_NAME_TAKEN":
      return new RemoteError(code, `${text}: another peer has this identity`);
  }
}

/** The error of a session that the server ended for good. */
export function sessionEnded(code: SessionRefusal): ParleyError {
  const text = code === "ERR_NAME_TAKEN"
    ? "Cannot go on with the session: a newer one of the same identity took its place"
    : "Cannot go on with the session: the server ended it";
  return new RemoteError(code, text);
}

/** A stream as errors name it: by its name, and by the peer that it is for, or comes from. */
export function nameStream(
  name: string,
  peer: string | undefined,
  way: "to" | "from" = "to",
): string {
  return `the stream "${name}" ${way} ${peer === undefined ? "the server" : `"${peer}"`}`;
}

/** The error of a stream that was refused; `stream` is what {@linkcode nameStream} made. */
export function streamRefused(code: StreamRefusal, stream: string): ParleyError {
  const text = `Cannot open ${stream}`;
  switch (code) {
    case "ERR_FORBIDDEN":
      return new AuthError(code, `${text} as it is forbidden`);
    case "ERR_BUSY":
      return tooManyStreams(stream);
    case "ERR_GOING_AWAY":
      return new ClosedError(code, `${text} as the peer is ending its session`);
    case "ERR_NO_HANDLER":
      return new RemoteError(code, `${text} as the peer does not handle it`);
    case "ERR_NO_PEER":
      return new RemoteError(code, `${text} as the peer is not there`);
    case "ERR_TARGET_REFUSED":
      return new RemoteError(code, `${text} as the target behind it refuses connections`);
    case "ERR_TARGET_TIMEOUT":
      return new RemoteError(
        code,
        `${text} as the peer, or the target behind it, did not answer in time`,
      );
    case "ERR_HANDLER":
      return new RemoteError(code, `${text} as the peer failed`);
  }
}

/** The error of a stream that got no turn: the peer, or the hub between, takes only so many. */
export function tooManyStreams(stream: string, cause?: unknown): LimitError {
  const text = `Cannot open ${stream}: no more streams are taken at a time`;
  return new LimitError("ERR_TOO_MANY_STREAMS", text, { cause });
}

/** Why a stream could not be opened, with its name: what a session says of itself names only numbers. */
export function openFailed(error: unknown, stream: string): unknown {
  // What names it already was made here.
  if (error instanceof Error && error.message.includes(stream)) return error;
  if (error instanceof LimitError) return tooManyStreams(stream, error);
  if (!(error instanceof ClosedError)) return error;
  const { code, unsentBytes } = error;
  const why = CLOSED_REASONS[code] ?? "the session with the peer is over";
  return new ClosedError(code as ClosedErrorCode, `Cannot open ${stream}: ${why}`, {
    cause: error,
    unsentBytes,
  });
}

/**
 * An error of an open stream with its name: in place of its number, or before what ended the whole session.
 * An error that names neither is returned as it is.
 */
export function nameError<Given>(
  error: Given,
  id: number,
  stream: string,
): Given | ClosedError | TimeoutError {
  if (!(error instanceof ClosedError || error instanceof TimeoutError)) return error;
  if (error.message.includes(stream)) return error;
  const { code, message: given } = error;
  const ofSession = given.includes(" the session");
  const message = ofSession
    ? `Cannot go on with ${stream}: the session with the peer is over`
    : given.replace(given.includes(` stream ${id}`) ? `stream ${id}` : "the stream", () => stream);
  if (message === given) return error;
  const cause = ofSession ? error : error.cause;
  if (error instanceof ClosedError) {
    return new ClosedError(code as ClosedErrorCode, message, {
      cause,
      unsentBytes: error.unsentBytes,
    });
  }
  const { cutBytes, cutConnections } = error;
  return new TimeoutError(code as TimeoutErrorCode, message, { cause, cutBytes, cutConnections });
}

const CLOSED_REASONS: Readonly<Record<string, string>> = {
  ERR_RESET: "it, or the session with the peer, broke off",
  ERR_GOING_AWAY: "the session with the peer is being closed",
};

/** The code to pass on when a stream could not be opened further on; the peer that it is for is there. */
export function refusalOf(error: unknown): StreamRefusal {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ERR_NO_HANDLER":
    case "ERR_FORBIDDEN":
    case "ERR_HANDLER":
    case "ERR_TARGET_REFUSED":
    case "ERR_TARGET_TIMEOUT":
    case "ERR_GOING_AWAY":
    case "ERR_BUSY":
      return code;
    case "ERR_TOO_MANY_STREAMS":
      return "ERR_BUSY";
    case "ERR_CONNECT_TIMEOUT":
      return "ERR_TARGET_TIMEOUT";
    default:
      return "ERR_HANDLER";
  }
}
