// StatsReport: one shape for sources of every kind, for the page, for /stats.json and for its watchers.
import type { BackendStats, PoolStats } from "../data/pool_stats.ts";
import { addressText } from "../../net/transport/faults.ts";
import { type DurationStats, quantileMs } from "../data/duration_histogram.ts";
import type {
  ClientStats,
  ConnectionStats,
  IpcStats,
  ServerStats,
  Stats,
  WireStats,
} from "../data/snapshots.ts";

/** What is known of one connection, session or backend. */
export interface LinkReport {
  /** Its id; a backend's name. */
  readonly id: string;
  /** Who the far side is, where that is known: text of the peer's choice. */
  readonly peer: string | null;
  /** Where the far end is. */
  readonly address: string;
  /** Its state, such as `open` or `draining`. */
  readonly state: string;
  /** Time that it has been open, in milliseconds; `null` for a backend. */
  readonly ageMs: number | null;
  /** Bytes received. */
  readonly bytesIn: number;
  /** Bytes sent. */
  readonly bytesOut: number;
  /** Bytes that were accepted for sending, or came and were not read. */
  readonly queuedBytes: number;
  /** Streams, or connections of a backend; `null` where there are none. */
  readonly streams: number | null;
  /** Round trip of its last ping, in milliseconds; `null` where nothing pings, or before the first. */
  readonly rttMs: number | null;
}

/** What was counted on one local day. */
export interface DayReport {
  /** The day, as `YYYY-MM-DD`. */
  readonly day: string;
  /** What was counted in it. */
  readonly counters: Readonly<Record<string, number>>;
}

/** What holds of a source at a moment, whatever its kind. */
export interface SourceSnapshot {
  /** Tells it from other sources of the process. */
  readonly name: string;
  /** What it is. */
  readonly kind: Stats["kind"];
  /** Which side, where there are several: `mount`, `hub`, `join`; `server`, `client`, `peer`. */
  readonly role: string | null;
  /** Its state, such as `listening` or `draining`. */
  readonly state: string;
  /** Whether it can be given work. */
  readonly ready: boolean;
  /** Where it listens; `null` where it does not. */
  readonly address: string | null;
  /** Time since it began, in milliseconds; `null` where that is not known. */
  readonly onlineMs: number | null;
  /** Connections, sessions or backends that are there; more than `links` has when there are many. */
  readonly linksNow: number;
  /** Connections whose handshake has not finished. */
  readonly pendingNow: number;
  /** Bytes that wait, over all links. */
  readonly queuedBytes: number;
  /**
   * Estimated 95th percentile of the handshakes since the sample before, in milliseconds; `null` when there
   * were none.
   */
  readonly handshakeP95Ms: number | null;
  /** Longest of the last ping round trips of its sessions, in milliseconds; `null` where nothing pings. */
  readonly rttMaxMs: number | null;
  /** Everything that was counted since it began. */
  readonly overall: Readonly<Record<string, number>>;
  /** What was counted each local day, the oldest first, today last; empty for a pool. */
  readonly days: readonly DayReport[];
  /** Connections, streams or calls that were refused, by reason; reasons without any are left out. */
  readonly refusals: Readonly<Record<string, number>>;
  /** What went wrong, by kind; kinds without any are left out. Nothing in it is in `refusals` as well. */
  readonly errors: Readonly<Record<string, number>>;
  /** Its connections, sessions or backends, those with the most bytes first when there are too many. */
  readonly links: readonly LinkReport[];
}

/** Names of counters, and whether they count errors or refusals. */
const ERRORS = [
  "handshakeFailures",
  "handshakeTimeouts",
  "handlerErrors",
  "framingErrors",
  "protocolErrors",
  "slowConsumers",
  "idleTimeouts",
  "rateLimitDrops",
  "connectFailures",
  "streamErrors",
  "streamsFailed",
  "dialFailures",
  "leasesFailed",
  "healthFailures",
  "waitTimeouts",
  "dialsExhausted",
  "noBackend",
] as const;
const REFUSALS = ["connectionsReplaced", "streamsRefused", "queueFull", "retriesRefused"] as const;

/** Options of {@linkcode reportOf}. */
export interface ReportOptions {
  /** The snapshot before, to see what is new. */
  readonly before?: Stats | undefined;
  /** Links that are listed. */
  readonly maxLinks: number;
}

/** Brings a snapshot into the one shape. */
export function reportOf(
  name: string,
  stats: Stats,
  { before, maxLinks }: ReportOptions,
): SourceSnapshot {
  const own = partsOf(stats);
  const { overall } = own;
  const earlier = before !== undefined && "handshakes" in before ? before.handshakes : undefined;
  return {
    name,
    kind: stats.kind,
    role: "role" in stats ? stats.role : null,
    state: stats.state,
    ready: isReady(stats),
    address: "address" in stats && stats.address !== null ? addressText(stats.address) : null,
    onlineMs: "onlineMs" in stats ? stats.onlineMs : null,
    linksNow: own.links.length,
    pendingNow: "pendingNow" in stats ? stats.pendingNow : 0,
    queuedBytes: own.links.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
    handshakeP95Ms: "handshakes" in stats ? p95(stats.handshakes, earlier) : null,
    rttMaxMs: own.links.reduce<number | null>(
      (max, { rttMs }) => rttMs === null ? max : Math.max(max ?? 0, rttMs),
      null,
    ),
    overall,
    days: "days" in stats
      ? stats.days.map(({ day, counters }) => ({ day, counters: { ...counters } }))
      : [],
    refusals: { ...chosen(overall, REFUSALS), ...withoutZeros(own.refusedBy) },
    errors: errorsOf(own),
    links: busiest(own.links, maxLinks),
  };
}

/**
 * Whether a source can be given work: it listens, has its link, or is open, and its certificate has
 * not ended.
 */
export function isReady(stats: Stats): boolean {
  if (
    "certificate" in stats && stats.certificate !== undefined && stats.certificate.remainingMs < 0
  ) {
    return false;
  }
  return stats.state === "listening" || stats.state === "connected" || stats.state === "open";
}

/** What differs from kind to kind. */
interface Parts {
  readonly overall: Readonly<Record<string, number>>;
  readonly refusedBy: Readonly<Record<string, number>>;
  /** Failed handshakes by reason, where reasons are known; `overall` has their sum. */
  readonly failedBy?: Readonly<Record<string, number>> | undefined;
  readonly links: readonly LinkReport[];
}

function partsOf(stats: Stats): Parts {
  switch (stats.kind) {
    case "server":
      return serverParts(stats);
    case "client":
      return clientParts(stats);
    case "wire":
      return wireParts(stats);
    case "ipc":
      return ipcParts(stats);
    case "pool":
      return poolParts(stats);
  }
}

function serverParts({ overall, refusedBy, connections }: ServerStats): Parts {
  return { overall: { ...overall }, refusedBy, links: connections.map(ofConnection) };
}

function clientParts({ overall, connection }: ClientStats): Parts {
  const links = connection === null ? [] : [ofConnection(connection)];
  return { overall: { ...overall }, refusedBy: {}, links };
}

function wireParts({ overall, refusedBy, sessions }: WireStats): Parts {
  const links = sessions.map((session) => ({
    id: session.id,
    peer: session.identity,
    address: addressText(session.remoteAddr),
    state: "open",
    ageMs: session.onlineMs,
    bytesIn: session.bytesIn,
    bytesOut: session.bytesOut,
    queuedBytes: session.bufferedBytes,
    streams: session.streams,
    rttMs: session.rttMs,
  }));
  return { overall: { ...overall }, refusedBy, links };
}

function ipcParts({ overall, failed, connections }: IpcStats): Parts {
  const links = connections.map((link) => ({
    id: link.id,
    peer: null,
    address: link.remoteAddr === null ? "" : addressText(link.remoteAddr),
    state: link.state,
    ageMs: link.onlineMs,
    bytesIn: link.bytesIn,
    bytesOut: link.bytesOut,
    queuedBytes: link.queuedBytes,
    streams: null,
    rttMs: null,
  }));
  const { connectionsRefused } = overall;
  return { overall: { ...overall }, refusedBy: { connectionsRefused }, failedBy: failed, links };
}

function poolParts(stats: PoolStats): Parts {
  const overall: Record<string, number> = {};
  const count = (name: string, value: unknown) => {
    if (typeof value === "number") overall[name] = (overall[name] ?? 0) + value;
  };
  const { waiting: _, takenAtMs: __, ...counters } = stats;
  for (const [name, value] of Object.entries(counters)) count(name, value);
  for (const backend of stats.backends) {
    const { weight: _, idle: __, busy: ___, dialling: ____, closing: _____, ...counters } = backend;
    for (const [name, value] of Object.entries(counters)) count(name, value);
  }
  return { overall, refusedBy: {}, links: stats.backends.map(ofBackend) };
}

function ofConnection(connection: ConnectionStats): LinkReport {
  return {
    id: connection.id,
    peer: null,
    address: addressText(connection.remoteAddr),
    state: connection.state,
    ageMs: connection.onlineMs,
    bytesIn: connection.bytesIn,
    bytesOut: connection.bytesOut,
    queuedBytes: connection.queuedBytes + connection.heldBytes,
    streams: null,
    rttMs: null,
  };
}

function ofBackend(backend: BackendStats): LinkReport {
  return {
    id: backend.name,
    peer: backend.name,
    address: backend.address,
    state: backend.state,
    ageMs: null,
    bytesIn: backend.bytesIn,
    bytesOut: backend.bytesOut,
    queuedBytes: 0,
    streams: backend.idle + backend.busy + backend.dialling + backend.closing,
    rttMs: null,
  };
}

function p95(handshakes: DurationStats, before: DurationStats | undefined): number | null {
  return quantileMs(handshakes, 0.95, before);
}

function busiest(links: readonly LinkReport[], maxLinks: number): readonly LinkReport[] {
  if (links.length <= maxLinks) return links;
  if (maxLinks === 0) return [];
  const bytes = ({ bytesIn, bytesOut }: LinkReport) => bytesIn + bytesOut;
  return links.toSorted((left, right) => bytes(right) - bytes(left)).slice(0, maxLinks);
}

/** What went wrong, each thing once. */
function errorsOf({ overall, failedBy }: Parts): Record<string, number> {
  const { handshakeFailures, ...others } = chosen(overall, ERRORS);
  if (handshakeFailures === undefined) return others;
  if (failedBy === undefined) return { handshakeFailures, ...others };
  const reasons = Object.entries(failedBy).map((
    [reason, count],
  ) => [`handshake: ${reason}`, count]);
  return { ...Object.fromEntries(reasons), ...others };
}

function chosen(
  counters: Readonly<Record<string, number>>,
  names: readonly string[],
): Record<string, number> {
  return withoutZeros(Object.fromEntries(names.map((name) => [name, counters[name] ?? 0])));
}

function withoutZeros(counters: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).filter(([, count]) => count !== 0));
}
