// portFor() and hostFor(): what carries calls over each kind of connection.
import { Client } from "../../client.ts";
import { Connection } from "../../connection.ts";
import { Pool } from "../../pool.ts";
import { Server } from "../../server.ts";
import { clientHost, clientPort } from "./client_port.ts";
import { connectionHost, connectionPort } from "./connection_port.ts";
import type { CallHost, CallPort } from "./port.ts";
import { poolPort } from "./pool_port.ts";
import { serverHost } from "./server_port.ts";

/** What calls can be made over. */
export type CallVia = CallPort | Connection | Client | Pool;

/** What calls can be answered over. */
export type AnswerTarget = CallHost | Connection | Client | Server;

/** The port of a connection. @throws {TypeError} when it carries no calls */
export function portFor(via: CallVia): CallPort {
  if (via instanceof Connection) return connectionPort(via);
  if (via instanceof Client) return clientPort(via);
  if (via instanceof Pool) return poolPort(via);
  return via;
}

/** The host of a connection. @throws {TypeError} when it carries no calls */
export function hostFor(target: AnswerTarget): CallHost {
  if (target instanceof Connection) return connectionHost(target);
  if (target instanceof Client) return clientHost(target);
  if (target instanceof Server) return serverHost(target);
  return target;
}
