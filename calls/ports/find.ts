// portFor() and hostFor(): what carries calls over each kind of connection.
import { Client } from "../../client/client.ts";
import { Connection } from "../../connection.ts";
import type { IpcChannel } from "../../ipc/channel.ts";
import type { IpcServer } from "../../ipc/server.ts";
import type { IpcServerClient } from "../../ipc/server_client.ts";
import type { Pool } from "../../pool/pool.ts";
import { Server } from "../../server/server.ts";
import { clientHost, clientPort } from "./client_port.ts";
import { connectionHost, connectionPort } from "./connection_port.ts";
import { ipcHost, ipcPort } from "./ipc_port.ts";
import type { CallHost, CallPort } from "./port.ts";
import { poolPort } from "./pool_port.ts";
import { serverHost } from "./server_port.ts";
import {
  isWireTarget,
  isWireVia,
  WireHost,
  WirePort,
  type WireTarget,
  type WireVia,
} from "./wire_port.ts";

/**
 * What calls can be made over: a wire's session, a joined wire, a peer behind a hub; an IPC client,
 * a pair, a server's client; a connection, a client that reconnects, a pool.
 */
export type CallVia =
  | WireVia
  | IpcChannel
  | IpcServerClient
  | Connection
  // deno-lint-ignore no-explicit-any -- a client with any data
  | Client<any>
  | Pool
  | CallPort;

/**
 * What calls can be answered over: a wire that is mounted or joined, or one session; an IPC server,
 * one of its clients, a client, a pair; a server of connections, a connection, a client.
 */
export type AnswerTarget =
  | WireTarget
  | IpcChannel
  | IpcServer
  | IpcServerClient
  // deno-lint-ignore no-explicit-any -- a server of connections with any data
  | Server<any>
  | Connection
  // deno-lint-ignore no-explicit-any -- the same
  | Client<any>
  | CallHost;

/** The port of a connection. @throws {TypeError} when it carries no calls */
export function portFor(via: CallVia): CallPort {
  if (isWireVia(via)) return new WirePort(via);
  if (via instanceof Connection) return connectionPort(via);
  if (via instanceof Client) return clientPort(via);
  if (isPool(via)) return poolPort(via);
  const port = isObject(via) ? ipcPort(via) : undefined;
  if (port !== undefined) return port;
  if (isObject(via) && "ask" in via) return via;
  throw new TypeError(
    "Cannot call: calls go over a session, a joined wire, a peer, an IPC client or pair, a " +
      `connection, a client or a pool, got ${kindOf(via)}`,
  );
}

/** The host of a connection. @throws {TypeError} when it carries no calls */
export function hostFor(target: AnswerTarget): CallHost {
  if (isWireTarget(target)) return new WireHost(target);
  if (target instanceof Connection) return connectionHost(target);
  if (target instanceof Client) return clientHost(target);
  if (target instanceof Server) return serverHost(target);
  const host = isObject(target) ? ipcHost(target) : undefined;
  if (host !== undefined) return host;
  // A pool has a method of that name, and answers nothing.
  if (isObject(target) && "add" in target && !isPool(target)) return target;
  throw new TypeError(
    "Cannot answer: calls come over a wire, a session, an IPC server, client or pair, a server, a " +
      `connection or a client, got ${kindOf(target)}`,
  );
}

/** Looks at what it can do: importing pools would load the packages that only they need. */
function isPool(value: unknown): value is Pool {
  return isObject(value) && "acquire" in value && "use" in value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function kindOf(value: unknown): string {
  return isObject(value) ? `an object of ${value.constructor?.name ?? "no class"}` : typeof value;
}
