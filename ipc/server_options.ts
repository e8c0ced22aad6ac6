// Options of listenIpc(), and the names that they may have.
import type { OptionNames } from "../options/names.ts";
import type { ServerTlsOptions } from "../tls/handshake/options.ts";
import { SERVER_TLS_NAMES } from "../tls/option_names.ts";
import type { IpcAnswer } from "./link/query_context.ts";
import { IPC_COMMON_NAMES } from "./option_names.ts";
import type { IpcCommonOptions } from "./options.ts";
import type { IpcServerClient, IpcServerQueryContext } from "./server_client.ts";

/** Options of `listenIpc`. */
export interface IpcServerOptions extends IpcCommonOptions {
  /** TLS beneath the handshake. */
  tls?: ServerTlsOptions | undefined;
  /** Clients at a time, 1 to 65536; others fail with `ERR_BUSY`. @default {1000} */
  maxClients?: number | undefined;
  /** Handshakes at a time, 1 to 65536. @default {100} like OpenSSH */
  maxPending?: number | undefined;
  /**
   * Called with each new client, before any of its messages and queries is taken. The client's
   * `closed` resolves when it has gone. What the hook throws, or its promise rejects with, goes to
   * `onError`; the client stays.
   */
  onClient?: ((client: IpcServerClient) => void | Promise<void>) | undefined;
  /**
   * Answers the clients' queries; an empty answer is an answer. The context has the `client` that
   * asks, and a `signal` that aborts when that client no longer waits.
   */
  onQuery?:
    | ((data: Uint8Array, context: IpcServerQueryContext) => IpcAnswer | Promise<IpcAnswer>)
    | undefined;
  /** Its abort closes in order. */
  signal?: AbortSignal | undefined;
}

/** Names in {@linkcode IpcServerOptions}. */
export const IPC_SERVER_NAMES: OptionNames<IpcServerOptions> = {
  ...IPC_COMMON_NAMES,
  tls: SERVER_TLS_NAMES,
  maxClients: true,
  maxPending: true,
  onClient: true,
  onQuery: true,
  signal: true,
};
