// portFor() and hostFor(): what carries calls over each kind of connection.
import type { CallHost, CallPort } from "./port.ts";

/** What calls can be made over. */
export type CallVia = CallPort;

/** What calls can be answered over. */
export type AnswerTarget = CallHost;

/** The port of a connection. @throws {TypeError} when it carries no calls */
export function portFor(via: CallVia): CallPort {
  return via;
}

/** The host of a connection. @throws {TypeError} when it carries no calls */
export function hostFor(target: AnswerTarget): CallHost {
  return target;
}
