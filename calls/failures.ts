// Failures of a call at its caller: what a reply, or what ended the connection, means here.
import {
  AuthError,
  ClosedError,
  type ClosedErrorCode,
  FramingError,
  LimitError,
  RemoteError,
  SchemaError,
  TimeoutError,
} from "../errors.ts";
import { validate } from "../codec/schema.ts";
import type { WaitOptions } from "../async/wait.ts";
import { CallError } from "./call_error.ts";
import type { CallDefinition } from "./contract.ts";
import type { Failure } from "./protocol/reply.ts";

/** The error of a reply that says that the call failed. Never rejects. */
export async function failureOf(
  failure: Failure,
  label: string,
  definition: CallDefinition,
): Promise<Error> {
  const { by, code, message, data, issues = [] } = failure;
  if (by === "handler") return await chosenFailure(code, message, data, label, definition);
  switch (code) {
    case "ERR_INPUT_INVALID":
      return new SchemaError(code, message, { issues });
    case "ERR_FORBIDDEN":
      return new AuthError(code, message);
    case "ERR_CALL_TIMEOUT":
      return new TimeoutError(code, message);
    case "ERR_FRAME_TOO_LARGE":
      return new FramingError(code, message);
    case "ERR_RATE_LIMITED":
    case "ERR_QUEUE_FULL":
      return new LimitError(code, message);
    case "ERR_GOING_AWAY":
    case "ERR_CLOSED":
      return new ClosedError(code, message);
    default:
      return new RemoteError(code, message);
  }
}

/** The error that a handler chose; its data is validated where the call declares the code. */
async function chosenFailure(
  code: string,
  message: string,
  data: unknown,
  label: string,
  definition: CallDefinition,
): Promise<Error> {
  try {
    const shapes = definition.errors;
    const shape = Object.hasOwn(shapes, code) ? shapes[code] : undefined;
    const action = `Cannot call ${label}: it failed with ${code}, and the data of that`;
    const valid = shape === undefined
      ? data
      : await validate(shape, data, "ERR_OUTPUT_INVALID", action);
    return new CallError(code, message, valid);
  } catch (error) {
    // The code is none, or the data is not as the contract says.
    return error instanceof SchemaError ? error : new RemoteError("ERR_HANDLER", message);
  }
}

/** What ended a call before its reply came, with the name of the call. */
export function nameFailure(error: unknown, label: string, wait: WaitOptions): unknown {
  const { signal, timeoutMs } = wait;
  if (signal?.aborted && error === signal.reason) return error;
  if (error instanceof TimeoutError && error.code !== "ERR_CALL_TIMEOUT") {
    return callTimeout(label, timeoutMs ?? Infinity, error);
  }
  // Over IPC the other process itself refuses what comes while it closes.
  const isRefused = error instanceof RemoteError && error.code === "ERR_GOING_AWAY";
  if (!isRefused && !(error instanceof ClosedError)) return error;
  const why = CLOSED_REASONS[error.code] ?? "the connection ended";
  return new ClosedError(error.code as ClosedErrorCode, `Cannot call ${label}: ${why}`, {
    cause: error,
    unsentBytes: error instanceof ClosedError ? error.unsentBytes : 0,
  });
}

/** The error of a call that took too long. */
export function callTimeout(label: string, timeoutMs: number, cause?: unknown): TimeoutError {
  return new TimeoutError("ERR_CALL_TIMEOUT", `Cannot call ${label} within ${timeoutMs} ms`, {
    cause,
  });
}

const CLOSED_REASONS: Readonly<Record<string, string>> = {
  ERR_RESET: "the connection broke off before the answer: the call may have been done",
  ERR_CLOSED: "the connection was closed before the answer",
  ERR_GOING_AWAY: "the peer is closing, and takes no more calls",
};
