/**
 * Statistics: snapshots of what servers and clients have done, in all and per local calendar day.
 *
 * @module
 */
export type { ClientCounters, NumericRecord, ServerCounters, TrafficCounters } from "./counters.ts";
export type { DayStats } from "./day_ledger.ts";
export type { ClientStats, ConnectionState, ConnectionStats, ServerStats, Stats } from "./snapshots.ts";
export { statsOfDay } from "./snapshots.ts";
export type { RefusalReason } from "../limits/admission.ts";
export type { Address } from "../net/transport.ts";
