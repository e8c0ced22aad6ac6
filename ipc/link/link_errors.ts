// Errors of a link: why it takes no more, and why it did not end in order.
import {
  AuthError,
  ClosedError,
  FramingError,
  type ParleyError,
  ProtocolError,
  RemoteError,
  TimeoutError,
} from "../../errors.ts";
import { ClosingReason } from "../protocol/frames.ts";

/**
 * What the other side's closing frame means for a process that is refused or turned out; `null`
 * when it just closes.
 */
export function refusalOf(reason: number | null): ParleyError | null {
  switch (reason) {
    case ClosingReason.busy:
      return new RemoteError(
        "ERR_BUSY",
        "Cannot connect: the other side has as many connections as it may have",
      );
    case ClosingReason.turnedOut:
      return new AuthError(
        "ERR_FORBIDDEN",
        "Cannot go on: the server turned this client out for good",
      );
    default:
      return null;
  }
}

/**
 * The link takes no more: the other side closes with that reason, or this side does where it is
 * `null`.
 */
export function linkGone(theirReason: number | null): Error {
  const refusal = refusalOf(theirReason);
  if (refusal !== null) return refusal;
  return theirReason !== null
    ? new ClosedError("ERR_GOING_AWAY", "Cannot go on: the other side closes")
    : new ClosedError("ERR_CLOSED", "Cannot go on: the connection was closed on this side");
}

/** The other side takes no message of this size. */
export function tooLarge(bytes: number, maxBytes: number): FramingError {
  return new FramingError(
    "ERR_FRAME_TOO_LARGE",
    `Cannot send: the other side takes at most ${maxBytes} bytes: the message has ${bytes}`,
  );
}

/** A close in order was cut, with bytes that are not in the kernel. */
export function drainTimeout(timeoutMs: number, cutBytes: number): TimeoutError {
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot close in order: it took longer than ${timeoutMs} ms`,
    { cutConnections: 1, cutBytes },
  );
}

/** The other side sent a frame that has no place here. */
export function frameError(text: string): ProtocolError {
  return new ProtocolError("ERR_IPC_FRAME", text);
}
