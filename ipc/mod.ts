/**
 * Named channels between processes of one machine: typed messages and queries both ways, encrypted
 * and authenticated by default, over unix sockets or TCP.
 *
 * {@linkcode listenIpc} and {@linkcode connectIpc} make a server with many clients; {@linkcode
 * pairIpc} joins two processes that run the same code. Processes of one user need no set-up: the
 * server makes a key that only this user can read. Others share a {@linkcode SecretKey}.
 *
 * @example
 * ```ts
 * import { connectIpc, listenIpc } from "@parley/parley/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `clock-${crypto.randomUUID()}`;
 * await using server = await listenIpc({ name, onQuery: (data) => data.toReversed() });
 * await using client = await connectIpc({ name });
 * assertEquals(await client.query(new Uint8Array([1, 2, 3])), new Uint8Array([3, 2, 1]));
 * ```
 *
 * @module
 */
export type { CloseOptions } from "../options/close.ts";
export { IpcServer, listenIpc } from "./server.ts";
export type { IpcServerOptions } from "./server_options.ts";
export {
  IpcServerClient,
  type IpcServerMessage,
  type IpcServerQueryContext,
} from "./server_client.ts";
export { IpcChannel } from "./channel.ts";
export {
  connectIpc,
  IpcClient,
  type IpcClientOptions,
  type IpcReconnectOptions,
} from "./client.ts";
export { IpcPeer, pairIpc } from "./peer.ts";
export type { IpcPairOptions, IpcRole } from "./pair_options.ts";
export { SecretKey } from "./endpoint/keys.ts";
export type { IpcPermissions } from "./endpoint/directory.ts";
export type { IpcAddressOptions, IpcTransport } from "./endpoint/endpoint.ts";
export type { IpcCommonOptions } from "./options.ts";
export type { SendRoom } from "../connection/types.ts";
export type { IpcMessage } from "./link/inbox.ts";
export type { IpcAnswer, IpcQueryContext, IpcQueryHandler } from "./link/query_context.ts";
export type { IpcQueryOptions } from "./link/outgoing_queries.ts";
export type { IpcReceiveBatchOptions, IpcReceiveOptions } from "./link/inbox.ts";
export type { IpcBatchMessage } from "./sending.ts";
export type { IpcRoundOptions } from "./shared_inbox.ts";
export type { IpcStatus, IpcStatusEvent } from "./observe/status.ts";
export type { IpcCounters, IpcTraffic } from "../stats/data/counters.ts";
export type { DayStats } from "../stats/data/day_ledger.ts";
export type { IpcLinkStats, IpcStats } from "../stats/data/snapshots.ts";
export type { IpcErrorContext, IpcErrorHandler } from "./observe/reporter.ts";
export type { EncryptionContext, EncryptionProvider } from "./secure/provider_link.ts";
export type { HandshakeReason } from "./secure/hello.ts";
export type { ServerState } from "../accept/server_state.ts";
