/**
 * Statistics of servers, clients, wires, channels and pools, in total and per local calendar day,
 * with a live page and metrics. For most uses call {@linkcode serveStats}, which serves the page,
 * `/metrics`, `/healthz` and `/readyz` over HTTP. Call {@linkcode openMetrics} to write metrics for
 * an HTTP server of your own.
 *
 * @example
 * ```ts
 * import { connect, serve } from "@parley/parley";
 * import type { ServerStats } from "@parley/parley/stats";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * await server.ready;
 * await using conn = await connect(server.addr);
 * await conn.send("Hi!");
 * await conn.receive();
 *
 * const stats: ServerStats = server.stats();
 * assertEquals([stats.connectionsNow, stats.overall.messagesIn], [1, 1]);
 * ```
 *
 * @module
 */
export type {
  ClientCounters,
  IpcCounters,
  IpcTraffic,
  NumericRecord,
  ServerCounters,
  TrafficCounters,
  WireCounters,
} from "./data/counters.ts";
export type { DayStats } from "./data/day_ledger.ts";
export type { CloseOptions } from "../options/close.ts";
export type { ServerState } from "../accept/server_state.ts";
export { type DurationStats, quantileMs } from "./data/duration_histogram.ts";
export { openMetrics, type OpenMetricsOptions } from "./export/openmetrics.ts";
export {
  type DayReport,
  type HistoryReport,
  type LinkReport,
  type OffersReport,
  type ProcessSample,
  type Rates,
  type RequestTimes,
  serveStats,
  type ServeStatsOptions,
  type SourceDetails,
  type SourceReport,
  type SourceSample,
  type SourceSnapshot,
  StatsPage,
  type StatsReport,
  type StatsSource,
} from "./page.ts";
export type {
  CertificateStats,
  ClientStats,
  ConnectionState,
  ConnectionStats,
  CountedStats,
  IpcLinkStats,
  IpcStats,
  RecentError,
  ServerStats,
  Stats,
  WireCallStats,
  WireNameStats,
  WireSessionStats,
  WireStats,
} from "./data/snapshots.ts";
export { statsOfDay } from "./data/snapshots.ts";
export type { RefusalReason } from "../limits/admission.ts";
export type { Address } from "../net/transport/transport.ts";
export type {
  BackendCounters,
  BackendState,
  BackendStats,
  BreakerState,
  PoolCounters,
  PoolStats,
} from "./data/pool_stats.ts";
