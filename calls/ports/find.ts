// portFor() and hostFor(): what carries calls over each kind of connection.
import { Connection } from "../../connection.ts";
import { connectionHost, connectionPort } from "./connection_port.ts";
import type { CallHost, CallPort } from "./port.ts";

/** What calls can be made over. */
export type CallVia = CallPort | Connection;

/** What calls can be answered over. */
export type AnswerTarget = CallHost | Connection;

/** The port of a connection. @throws {TypeError} when it carries no calls */
export function portFor(via: CallVia): CallPort {
  if (via instanceof Connection) return connectionPort(via);
  return via;
}

/** The host of a connection. @throws {TypeError} when it carries no calls */
export function hostFor(target: AnswerTarget): CallHost {
  if (target instanceof Connection) return connectionHost(target);
  return target;
}
