// tooLargeOutput(): the error of an output that the carrier of its call cannot take.
import { FramingError } from "../errors.ts";

const made = new WeakSet<object>();

/**
 * Checks an encoded output before it is sent.
 *
 * @throws {FramingError} `ERR_FRAME_TOO_LARGE`, which {@linkcode isTooLargeOutput} knows again
 */
export function checkOutputSize(name: string, bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return;
  const text = `Cannot call "${name}": the most of an answer is ${maxBytes} bytes, it has ${bytes}`;
  const error = new FramingError("ERR_FRAME_TOO_LARGE", text);
  made.add(error);
  throw error;
}

/** Whether an error says that an output was too large: not one that a handler has met elsewhere. */
export function isTooLargeOutput(error: unknown): error is FramingError {
  return error instanceof FramingError && made.has(error);
}
