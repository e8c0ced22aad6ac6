/**
 * Named streams between peers that keep one connection, so that a server can call clients behind
 * NAT. For most uses call {@linkcode mount} on the server and {@linkcode join} on its clients; then
 * either side opens streams to the other. Call {@linkcode hub} to relay streams between clients,
 * and {@linkcode expose} and {@linkcode forward} for tunnels.
 *
 * @example A server that asks its client
 * ```ts
 * import { join, mount, sameToken } from "@parley/parley/wire";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = mount({ authorize: ({ token }) => sameToken(token, "a good secret") });
 * await server.ready;
 * await using agent = join({
 *   ...server.addr,
 *   identity: "agent-7",
 *   token: "a good secret",
 *   handlers: {
 *     uptime: async (stream) => {
 *       await stream.write("three days");
 *       await stream.closeWrite();
 *     },
 *   },
 * });
 * await agent.ready;
 *
 * const stream = await server.open("agent-7", "uptime");
 * await stream.closeWrite();
 * assertEquals(await new Response(stream.readable).text(), "three days");
 * ```
 *
 * @module
 */
export {
  type ReconnectInfo,
  type ReconnectOptions,
  type ReconnectPolicy,
} from "../async/backoff.ts";
export { connectTransport } from "../client/connect.ts";
export { type ConnectTransportOptions } from "../client/options.ts";
export { type ClientStatus } from "../client/status.ts";
export type { LinkStatus } from "../mux/state.ts";
export type { ServerState } from "../accept/server_state.ts";
export {
  listenTransport,
  type ListenTransportOptions,
  type TransportErrorContext,
  TransportListener,
} from "../server/transport_listener.ts";
export { type Meta } from "./protocol/frames.ts";
export type { WireCounters } from "../stats/data/counters.ts";
export type { DayStats } from "../stats/data/day_ledger.ts";
export type { DurationStats } from "../stats/data/duration_histogram.ts";
export type { CertificateStats, WireSessionStats, WireStats } from "../stats/data/snapshots.ts";
export { expose, type ExposeOptions } from "./tunnel/expose.ts";
export { Forward, forward, type ForwardOptions } from "./tunnel/forward.ts";
export { hub, type HubOptions } from "./hub.ts";
export { join, JoinedWire } from "./join.ts";
export { mount, MountedWire } from "./mount.ts";
export { MountedWorkers } from "./mounted_workers.ts";
export { SpreadServer } from "../workers/spread_server.ts";
export { mountWorkers } from "./mount_workers.ts";
export type { WorkerStart } from "../workers/module.ts";
export {
  type MountModule,
  type MountModuleOptions,
  type MountWorkersErrorContext,
  type MountWorkersOptions,
} from "./workers_options.ts";
export { type WireErrorContext } from "./observe/reporter.ts";
export { type JoinOptions, type MountOptions, type WireOptions } from "./options.ts";
export { WirePeer } from "./peer.ts";
export { type PresenceRequest } from "./presence.ts";
export { type SegmentSink, type SegmentSource } from "./protocol/segments.ts";
export { sameToken } from "./protocol/token.ts";
export { type Authorize, type AuthorizeRequest } from "./session/authorize.ts";
export { type StreamHandler } from "./session/handlers.ts";
export { type StreamLifetime } from "./session/lifetime.ts";
export { type OpenOptions } from "./session/open_stream.ts";
export type { CloseOptions } from "../options/close.ts";
export { WireSession } from "./session/session.ts";
export { type StreamInfo, WireStream } from "./session/stream.ts";
