// portFor() and hostFor(): what carries calls over each kind of connection.
import type { IpcChannel } from "../../ipc/channel.ts";
import type { IpcServer } from "../../ipc/server.ts";
import type { IpcServerClient } from "../../ipc/server_client.ts";
import { ipcHost, ipcPort } from "./ipc_port.ts";
import type { CallHost, CallPort } from "./port.ts";

/** What calls can be made over. */
export type CallVia = CallPort | IpcChannel | IpcServerClient;

/** What calls can be answered over. */
export type AnswerTarget = CallHost | IpcChannel | IpcServer | IpcServerClient;

/** The port of a connection. @throws {TypeError} when it carries no calls */
export function portFor(via: CallVia): CallPort {
  return ipcPort(via) ?? via as CallPort;
}

/** The host of a connection. @throws {TypeError} when it carries no calls */
export function hostFor(target: AnswerTarget): CallHost {
  return ipcHost(target) ?? target as CallHost;
}
