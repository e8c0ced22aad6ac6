// Snapshots: plain data about what a connection, a server or a client has done so far.
import type { RefusalReason } from "../../limits/admission.ts";
import type { Address } from "../../net/transport/transport.ts";
import type { PoolStats } from "./pool_stats.ts";
import type {
  ClientCounters,
  IpcCounters,
  IpcTraffic,
  NumericRecord,
  ServerCounters,
  TrafficCounters,
  WireCounters,
} from "./counters.ts";
import { type DayStats, findDay } from "./day_ledger.ts";
import type { DurationStats } from "./duration_histogram.ts";

/*
 * All snapshots are frozen and survive JSON unchanged. Moments are milliseconds since the epoch
 * (`Date.now()`), in members that end in `AtMs`; spans are milliseconds, measured by a clock that does not go
 * back.
 */

/**
 * Where in its life a connection is. `draining`: it reads no further than to the end of a message that has
 * begun. `closing`: what was sent is written. `closed`: its descriptor is free.
 */
export type ConnectionState = "open" | "draining" | "closing" | "closed";

/** What is known of one connection, open or closed. */
export interface ConnectionStats extends Readonly<TrafficCounters> {
  /** Its id, made by this process. */
  readonly id: string;
  /** `"closed"` once it has ended. */
  readonly state: ConnectionState;
  /** The near end. */
  readonly localAddr: Address;
  /** The far end. */
  readonly remoteAddr: Address;
  /** Whether TLS carries it, and how; `null` for none. */
  readonly tls: { readonly backend: "deno" | "node"; readonly protocol: string | null } | null;
  /** When it was opened. */
  readonly openedAtMs: number;
  /** When it ended; `null` while it is open. */
  readonly closedAtMs: number | null;
  /** Time that it has been open, in milliseconds. */
  readonly onlineMs: number;
  /** Time since a byte last came or went, in milliseconds. */
  readonly idleMs: number;
  /** Bytes read and not yet handed to a reader. */
  readonly heldBytes: number;
  /** Bytes accepted for sending that the transport has not taken. */
  readonly queuedBytes: number;
  /** Code of the error that ended it; `null` for an orderly end, and while it is open. */
  readonly errorCode: string | null;
}

/** An error, and those like it that came before it. */
export interface RecentError {
  /** When the last one came. */
  readonly atMs: number;
  /** What was being done, such as `handshake`, `handler` or `connection`. */
  readonly phase: string;
  /** Code of the error, or the name of its class; `_OTHER` for codes that a peer made up. */
  readonly code: string;
  /** What the last one says: one line, escaped and cut. */
  readonly text: string;
  /** Address or identity of the peer of the last one, escaped and cut; `null` where there is none. */
  readonly peer: string | null;
  /** How many there were, the left out ones included. */
  readonly count: number;
}

/** What every snapshot holds of what was counted. */
export interface CountedStats<Counters> {
  /** When the snapshot was taken. */
  readonly takenAtMs: number;
  /** What was counted since it began. */
  readonly overall: Readonly<Counters>;
  /** What was counted on the local day of the snapshot. */
  readonly today: DayStats<Counters>;
  /** What was counted on each local day, the oldest first; up to 400. */
  readonly days: readonly DayStats<Counters>[];
}

/** What a server has done so far. */
export interface ServerStats extends CountedStats<ServerCounters> {
  /** Tells it from other snapshots. */
  readonly kind: "server";
  /** State of the server. */
  readonly state: "created" | "listening" | "leaving" | "draining" | "stopped";
  /** Where it listens; `null` before it does. */
  readonly address: Address | null;
  /** When it began to listen; `null` before it does. */
  readonly startedAtMs: number | null;
  /** Time since it began to listen, until it stopped, in milliseconds. */
  readonly onlineMs: number;
  /** Connections that are open. */
  readonly connectionsNow: number;
  /** Connections whose handshake has not finished. */
  readonly pendingNow: number;
  /** Most connections that were open at a time. */
  readonly connectionsPeak: number;
  /** The certificate in force that ends first; absent without TLS. */
  readonly certificate?: CertificateStats | undefined;
  /** Bytes accepted for sending on all connections that the transport has not taken. */
  readonly queuedBytes: number;
  /** Connections that were refused, by reason. */
  readonly refusedBy: Readonly<Record<RefusalReason, number>>;
  /** How long handshakes took that succeeded: from accepting a connection to its being set up. */
  readonly handshakes: DurationStats;
  /**
   * Request latency: from the arrival of a message to the handler's next send on that connection, or to its
   * return. A message after which the handler waits for the next one, and never sends, is not counted.
   */
  readonly requests: DurationStats;
  /** What went wrong last, the newest last: at most 32 entries, errors alike joined. */
  readonly recentErrors: readonly RecentError[];
  /** Connections that are open. */
  readonly connections: readonly ConnectionStats[];
}

/** When the first of the certificates in force on a listening side ends. */
export interface CertificateStats {
  /** Its last moment, in ms since 1970. */
  readonly notAfterMs: number;
  /** Time until then, in ms; below 0 after that. */
  readonly remainingMs: number;
}

/** What a client that keeps a link up has done so far. */
export interface ClientStats extends CountedStats<ClientCounters> {
  /** Tells it from other snapshots. */
  readonly kind: "client";
  /** State of the link. */
  readonly state: "connecting" | "connected" | "reconnecting" | "closed";
  /** When it was made. */
  readonly startedAtMs: number;
  /** Time since it was made, until it was closed, in milliseconds. */
  readonly onlineMs: number;
  /** Time that links were up, in all, in milliseconds. */
  readonly connectedMs: number;
  /** What was counted since it was made, or since the link came up where old statistics are dropped. */
  readonly overall: Readonly<ClientCounters>;
  /** What went wrong last, the newest last: at most 32 entries, errors alike joined. */
  readonly recentErrors: readonly RecentError[];
  /** The link; `null` while there is none. */
  readonly connection: ConnectionStats | null;
}

/** What is known of an open session of the wire. */
export interface WireSessionStats {
  /** The id that the server made. */
  readonly id: string;
  /** Who joined, as the server authenticated it: text of the peer's choice. */
  readonly identity: string;
  /** The far end. */
  readonly remoteAddr: Address;
  /** When it was opened. */
  readonly openedAtMs: number;
  /** Time that it has been open, in milliseconds. */
  readonly onlineMs: number;
  /** Bytes read from its transport. */
  readonly bytesIn: number;
  /** Bytes handed to its transport. */
  readonly bytesOut: number;
  /** Streams that are not over, the control stream included. */
  readonly streams: number;
  /** Bytes that came and were not read, over all streams. */
  readonly bufferedBytes: number;
  /** Round trip of the last ping, in milliseconds; `null` before the first. */
  readonly rttMs: number | null;
  /** Names that the peer handles, as it says: text of the peer's choice, escaped and cut. At most 64. */
  readonly offers: readonly string[];
}

/** A stream that a hub brings from one peer to another now. All texts are the peers', escaped and cut. */
export interface WireCallStats {
  /** Identity of the peer that opened it. */
  readonly from: string;
  /** Identity of the peer that serves it. */
  readonly to: string;
  /** Name of the stream. */
  readonly name: string;
  /** When it was accepted. */
  readonly openedAtMs: number;
  /** Bytes that came from the peer that opened it. */
  readonly bytesFrom: number;
  /** Bytes that went to it. */
  readonly bytesTo: number;
}

/** What went over streams of one name, whichever side opened them. */
export interface WireNameStats {
  /** The name, escaped and cut; `(other)` for all names beyond the first 64. */
  readonly name: string;
  /** Streams that were opened, served or relayed. */
  readonly streams: number;
  /** Bytes received: at a hub those of the peers that opened the streams. */
  readonly bytesIn: number;
  /** Bytes sent: at a hub those to the peers that opened the streams. */
  readonly bytesOut: number;
}

/** What a side of the wire has done so far. */
export interface WireStats extends CountedStats<WireCounters> {
  /** Tells it from other snapshots. */
  readonly kind: "wire";
  /** Which side it is. */
  readonly role: "mount" | "hub" | "join";
  /**
   * A listening side is `created`, `listening`, `leaving`, `draining`, `stopped`; a joining side
   * what a client is.
   */
  readonly state:
    | "created"
    | "listening"
    | "leaving"
    | "draining"
    | "stopped"
    | ClientStats["state"];
  /** Where it listens; `null` before it does, and on the joining side. */
  readonly address: Address | null;
  /** When it began. */
  readonly startedAtMs: number;
  /** Time since it began, until it ended, in milliseconds. */
  readonly onlineMs: number;
  /** Connections whose handshake has not finished. */
  readonly pendingNow: number;
  /** The certificate in force that ends first; absent without TLS, and on the joining side. */
  readonly certificate?: CertificateStats | undefined;
  /** Connections that were refused, by reason; empty on the joining side. */
  readonly refusedBy: Readonly<Partial<Record<RefusalReason, number>>>;
  /**
   * How long handshakes took that succeeded, TLS and the greeting together, and dialling on the joining side.
   */
  readonly handshakes: DurationStats;
  /** What went wrong last, the newest last: at most 32 entries, errors alike joined. */
  readonly recentErrors: readonly RecentError[];
  /** Sessions that are open. */
  readonly sessions: readonly WireSessionStats[];
  /** Streams that a hub relays now, the oldest first: at most 256 are listed. Empty elsewhere. */
  readonly calls: readonly WireCallStats[];
  /** What went over streams, by name: 64 names, and all others together. */
  readonly trafficByName: readonly WireNameStats[];
}

/** What is known of an open IPC connection. */
export interface IpcLinkStats extends Readonly<IpcTraffic> {
  /** Its id, the same on both sides. */
  readonly id: string;
  /** The far end; `null` where only this side's address means anything. */
  readonly remoteAddr: Address | null;
  /** Whether messages can be sent. */
  readonly state: "connected" | "closing" | "closed";
  /** When it was opened. */
  readonly openedAtMs: number;
  /** Time that it has been open, in milliseconds. */
  readonly onlineMs: number;
  /** Bytes that were accepted for writing and that the transport has not taken. */
  readonly queuedBytes: number;
}

/** What an IPC server, client or peer has done so far. */
export interface IpcStats extends CountedStats<IpcCounters> {
  /** Tells it from other snapshots. */
  readonly kind: "ipc";
  /** What it is. */
  readonly role: "server" | "client" | "peer";
  /** Name of the channel. */
  readonly name: string;
  /** Its status, such as `listening` or `connected`. */
  readonly state: string;
  /** Where it listens; `null` for a client and a peer. */
  readonly address: Address | null;
  /** When it began. */
  readonly startedAtMs: number;
  /** Time since it began, until it ended, in milliseconds. */
  readonly onlineMs: number;
  /** Handshakes that failed on the listening side, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  /** How long queries of the other side took: from the arrival of a query to its answer or failure. */
  readonly requests: DurationStats;
  /** What went wrong last, the newest last: at most 32 entries, errors alike joined. */
  readonly recentErrors: readonly RecentError[];
  /** Connections that are open. */
  readonly connections: readonly IpcLinkStats[];
}

/** A snapshot, of whatever counts. */
export type Stats = ServerStats | ClientStats | WireStats | IpcStats | PoolStats;

/**
 * Returns what a server or a client counted on a local calendar day. A day on which the process did not run,
 * between the first and the last one that are kept, counts 0.
 *
 * @param day As `YYYY-MM-DD`
 * @throws {StatsError} `ERR_NO_STATS_FOR_DAY` when nothing is known of that day
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * // Any snapshot will do, such as server.stats().
 * const stats = { days: [{ day: "2026-11-21", counters: { messagesIn: 5 } }] };
 * assertEquals(statsOfDay(stats, "2026-11-21").messagesIn, 5);
 * ```
 */
export function statsOfDay<Counters extends NumericRecord<Counters>>(
  stats: { readonly days: readonly DayStats<Counters>[] },
  day: string,
): Readonly<Counters> {
  return findDay(stats.days, day).counters;
}

/**
 * Freezes plain data, and all that it holds.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * assert(Object.isFrozen(freezeDeep({ inner: { value: 1 } }).inner));
 * ```
 */
export function freezeDeep<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) freezeDeep(inner);
  return Object.freeze(value);
}
