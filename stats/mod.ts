/**
 * Statistics: snapshots of what servers and clients have done, in all and per local calendar day.
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
export type { ClientCounters, NumericRecord, ServerCounters, TrafficCounters } from "./counters.ts";
export type { DayStats } from "./day_ledger.ts";
export type { ClientStats, ConnectionState, ConnectionStats, ServerStats, Stats } from "./snapshots.ts";
export { statsOfDay } from "./snapshots.ts";
export type { RefusalReason } from "../limits/admission.ts";
export type { Address } from "../net/transport.ts";
