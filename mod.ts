/**
 * Parley sends whole messages between processes over TLS, TCP and unix sockets, with backpressure,
 * limits that hold on a hostile network, and a shutdown that loses no message. For most uses call
 * {@linkcode serve} on one side and {@linkcode connect}, or a {@linkcode Client} that reconnects,
 * on the other.
 *
 * - {@linkcode serve} runs a handler for each connection; {@linkcode connect} opens one connection;
 *   {@linkcode Client} keeps a link connected.
 * - Framings turn bytes into messages: {@linkcode delimited}, {@linkcode lengthPrefixed},
 *   {@linkcode varintPrefixed}, {@linkcode chunked}, {@linkcode fixedLength}, {@linkcode raw}, or
 *   your own {@linkcode Framing}.
 * - A mistake of the caller is a `TypeError` or `RangeError`. Every other error is a
 *   {@linkcode ParleyError} with a `code`.
 * - {@linkcode broadcast} sends one message to many connections.
 * - Typed calls, values in place of bytes, streams by name, channels of one machine, pools,
 *   certificates and statistics have modules of their own: `./calls`, `./codec`, `./wire`, `./ipc`,
 *   `./pool`, `./tls`, `./stats`; yamux alone is `./mux`.
 *
 * @example An echo server and its client
 * ```ts
 * import { connect, serve } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * await server.ready;
 *
 * await using conn = await connect(server.addr);
 * await conn.send("Hi!");
 * assertEquals(await conn.receive(), new TextEncoder().encode("Hi!"));
 * ```
 *
 * @module
 */
export {
  type AdmissionOptions,
  broadcast,
  type BroadcastLink,
  type BroadcastOptions,
  type BroadcastResult,
  type BroadcastTargets,
  type ClosedConnectionsOptions,
  type Handler,
  type IncomingInfo,
  type IpcBroadcastLink,
  type IpcBroadcastOptions,
  listenTransport,
  type ListenTransportOptions,
  type PenaltiesOptions,
  type ProxyProtocolOptions,
  type RateLimit,
  type RateLimitsOptions,
  serve,
  type ServeErrorContext,
  type ServeHooks,
  type ServeOptions,
  Server,
  type ServerState,
  serveWorkers,
  type ServeWorkersOptions,
  type ShutdownOptions,
  type SourceExemptionsOptions,
  SpreadServer,
  type TransportErrorContext,
  TransportListener,
  type TypedBroadcastLink,
  type WorkerModule,
  type WorkerModuleOptions,
  type WorkersErrorContext,
  WorkersServer,
  type WorkerStart,
} from "./server.ts";
export {
  Client,
  type ClientOptions,
  type ClientStatus,
  type ClientStatusEvent,
  type CloseOptions,
  connect,
  type ConnectInfo,
  type ConnectOptions,
  connectTransport,
  type ConnectTransportOptions,
  type LinkLoss,
  type OnConnect,
  type ReconnectInfo,
  type ReconnectOptions,
  type ReconnectPolicy,
} from "./client.ts";
export {
  Connection,
  type ConnectionEnd,
  type ConnectionOptions,
  type ConnectionSetup,
  type MessageGate,
  type MessageObserver,
  type ReceiveBatchOptions,
  type ReceiveOptions,
  type SendProgress,
  type SendRoom,
  type Sweeper,
  type Swept,
  type Traffic,
} from "./connection.ts";
export {
  chunked,
  type ChunkedOptions,
  delimited,
  fixedLength,
  type FrameDecoder,
  FrameDecoderStream,
  type FrameEncoder,
  FrameEncoderStream,
  type FrameStreamOptions,
  type Framing,
  type FramingLimits,
  lengthPrefixed,
  type LengthPrefixedOptions,
  MAX_MESSAGE_BYTES,
  raw,
  varintPrefixed,
} from "./framing.ts";
export { memoryPair, type MemoryPairOptions } from "./net/transport/memory_pair.ts";
export type {
  Address,
  ChunkReader,
  ChunkWriter,
  Incoming,
  KeepAlive,
  Listener,
  PeerCertificate,
  SocketTuning,
  TlsInfo,
  Transport,
} from "./net/transport/transport.ts";
export type {
  ClientTlsOptions,
  ServerTlsOptions,
  TlsBackend,
  TlsCommonOptions,
  TlsIdentity,
  TlsVersion,
} from "./tls/handshake/options.ts";
export type {
  CertificateStats,
  ClientCounters,
  ClientStats,
  ConnectionState,
  ConnectionStats,
  CountedStats,
  DayStats,
  DurationStats,
  NumericRecord,
  RefusalReason,
  ServerCounters,
  ServerStats,
  TrafficCounters,
} from "./stats/mod.ts";
export type { Logger } from "./log/logger.ts";
export * from "./errors.ts";
