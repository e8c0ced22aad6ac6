// Refusals: what a peer's code of refusal means here, as an error.
import {
  AuthError,
  ClosedError,
  LimitError,
  type ParleyError,
  ProtocolError,
  RemoteError,
} from "../errors.ts";
import type { SessionRefusal, StreamRefusal } from "./frames.ts";

/** The error of a session that was refused. */
export function sessionRefused(code: SessionRefusal): ParleyError {
  const text = "Cannot join as the server refused the session";
  switch (code) {
    case "ERR_AUTH":
    case "ERR_FORBIDDEN":
      return new AuthError(code, `${text}: identity or token are not accepted`);
    case "ERR_VERSION":
      return new ProtocolError("ERR_WIRE_VERSION", `${text}: it speaks another version`);
    case "ERR_BUSY":
      return new LimitError("ERR_TOO_MANY_CONNECTIONS", `${text}: it is busy`);
    case "ERR_NAME_TAKEN":
      return new RemoteError(code, `${text}: somebody else has this identity`);
  }
}

/** The error of a session that the server ended for good. */
export function sessionEnded(code: SessionRefusal): ParleyError {
  const text = code === "ERR_NAME_TAKEN"
    ? "Cannot go on with the session as a newer one of the same identity took its place"
    : "Cannot go on with the session as the server ended it";
  return new RemoteError(code, text);
}

/** The error of a stream that was refused. */
export function streamRefused(code: StreamRefusal, name: string): ParleyError {
  const text = `Cannot open the stream ${JSON.stringify(name)}`;
  switch (code) {
    case "ERR_FORBIDDEN":
      return new AuthError(code, `${text} as it is forbidden`);
    case "ERR_BUSY":
      return new LimitError("ERR_TOO_MANY_STREAMS", `${text} as the far side is busy`);
    case "ERR_NO_HANDLER":
      return new RemoteError(code, `${text} as nobody handles it`);
    case "ERR_NO_PEER":
      return new RemoteError(code, `${text} as the peer is not there`);
    case "ERR_HANDLER":
      return new RemoteError(code, `${text} as the far side failed`);
    case "ERR_TARGET_REFUSED":
      return new RemoteError(code, `${text} as its target cannot be reached`);
    case "ERR_TARGET_TIMEOUT":
      return new RemoteError(code, `${text} as its target did not answer in time`);
    case "ERR_GOING_AWAY":
      return new ClosedError(code, `${text} as the far side is going away`);
  }
}

/** The code to pass on when a stream could not be opened further on. */
export function refusalOf(error: unknown): StreamRefusal {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ERR_NO_HANDLER":
    case "ERR_FORBIDDEN":
    case "ERR_HANDLER":
    case "ERR_NO_PEER":
    case "ERR_TARGET_REFUSED":
    case "ERR_TARGET_TIMEOUT":
      return code;
    case "ERR_CLOSED":
    case "ERR_RESET":
    case "ERR_GOING_AWAY":
    case "ERR_KEEPALIVE_TIMEOUT":
      return "ERR_NO_PEER";
    case "ERR_TOO_MANY_STREAMS":
    case "ERR_CONNECT_TIMEOUT":
      return "ERR_BUSY";
    default:
      return "ERR_HANDLER";
  }
}
