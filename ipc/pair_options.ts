// Options of pairIpc(), and the names that they may have.
import { RECONNECT_NAMES } from "../client/option_names.ts";
import type { OptionNames } from "../options/names.ts";
import type { ClientTlsOptions, ServerTlsOptions } from "../tls/handshake/options.ts";
import { CLIENT_TLS_NAMES, SERVER_TLS_NAMES } from "../tls/option_names.ts";
import type { IpcReconnectOptions } from "./client.ts";
import { IPC_COMMON_NAMES } from "./option_names.ts";
import type { IpcCommonOptions } from "./options.ts";

/** Options of {@linkcode pairIpc}, the same in both processes. */
export interface IpcPairOptions extends IpcCommonOptions {
  /** TLS beneath the handshake, for either role. */
  tls?: { server: ServerTlsOptions; client: ClientTlsOptions } | undefined;
  /**
   * `false` to end when the other process is lost, or how long to wait before the roles are decided
   * anew.
   *
   * @default {delays of 10 to 250 ms, without end}
   */
  reconnect?: false | IpcReconnectOptions | undefined;
  /**
   * Its abort closes in order. Before the roles are decided, `pairIpc` rejects with the signal's
   * reason.
   */
  signal?: AbortSignal | undefined;
}

/** Names of the options of a pair. */
export const PAIR_NAMES: OptionNames<IpcPairOptions> = {
  ...IPC_COMMON_NAMES,
  tls: { server: SERVER_TLS_NAMES, client: CLIENT_TLS_NAMES },
  reconnect: RECONNECT_NAMES,
  signal: true,
};

/** The role of a process in its pair. */
export type IpcRole = "server" | "client";

/** How the roles are decided anew, unless the options say otherwise. */
export const PAIR_RECONNECT: IpcReconnectOptions = {
  minDelayMs: 10,
  maxDelayMs: 250,
  healthyAfterMs: 1000,
};
