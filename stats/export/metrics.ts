// The metrics: which number of which snapshot goes by which name, with its help and its labels.
import type { BackendCounters, PoolCounters, PoolStats } from "../data/pool_stats.ts";
import type {
  ClientCounters,
  IpcCounters,
  ServerCounters,
  WireCounters,
} from "../data/counters.ts";
import type { DurationStats } from "../data/duration_histogram.ts";
import type { ClientStats, IpcStats, ServerStats, Stats, WireStats } from "../data/snapshots.ts";

/** What a family of metrics is. `state`: one sample for each state, 1 for the one that holds. */
export type MetricType = "counter" | "gauge" | "histogram" | "state";

/** Names and values of labels. */
export type Labels = Readonly<Record<string, string>>;

/** Takes samples, each with the family it belongs to. */
export interface MetricSink {
  /** A number that only grows; `name` has no `_total`. */
  counter(name: string, help: string, labels: Labels, value: number): void;
  /** A number that goes up and down. */
  gauge(name: string, help: string, labels: Labels, value: number): void;
  /** Durations, in seconds. */
  histogram(name: string, help: string, labels: Labels, value: DurationStats): void;
  /** Which one of `states` holds. */
  state(
    name: string,
    help: string,
    labels: Labels,
    value: { now: string; all: readonly string[] },
  ): void;
}

/** Name without `parley_` and `_total`, and what it counts. */
type Metric = readonly [name: string, help: string];

/** Counters of all kinds of snapshots, and their metrics: what has one name counts the same. */
export const COUNTERS: Readonly<
  Record<
    keyof ServerCounters | keyof ClientCounters | keyof WireCounters | keyof IpcCounters,
    Metric
  >
> = {
  bytesIn: ["received_bytes", "Bytes received"],
  bytesOut: ["sent_bytes", "Bytes sent"],
  messagesIn: ["received_messages", "Whole messages received"],
  messagesOut: ["sent_messages", "Whole messages sent"],
  framesIn: ["received_frames", "Mux frames received"],
  framesOut: ["sent_frames", "Mux frames sent"],
  queriesIn: ["received_queries", "Queries received"],
  queriesOut: ["sent_queries", "Queries asked"],
  connectAttempts: ["connect_attempts", "Times that a connection was dialled"],
  connectFailures: ["connect_failures", "Times that dialling failed"],
  connectionsOpened: ["connections_opened", "Connections that were set up"],
  connectionsClosed: ["connections_closed", "Connections that were set up and have ended"],
  connectionsRefused: ["connections_refused", "Connections refused before their handshake"],
  connectionsReplaced: ["connections_replaced", "Handshakes cut to make room for newer ones"],
  handshakeFailures: ["handshake_failures", "Handshakes that failed"],
  handshakeTimeouts: ["handshake_timeouts", "Handshakes that ran out of time"],
  connectionsLost: [
    "connections_lost",
    "Connections that were set up and whose peer vanished or broke off",
  ],
  idleTimeouts: [
    "idle_timeouts",
    "Connections ended because nothing came, or a message was never finished",
  ],
  slowConsumers: ["slow_consumers", "Connections ended because the peer did not read"],
  framingErrors: ["framing_errors", "Connections ended because the peer's bytes were no messages"],
  protocolErrors: [
    "protocol_errors",
    "Connections ended because the other side broke the protocol",
  ],
  handlerErrors: ["handler_errors", "Handlers that threw an error of their own"],
  rateLimitPauses: ["rate_limit_pauses", "Times that a reader was paused by a rate limit"],
  rateLimitDrops: [
    "rate_limit_drops",
    "Connections that lost messages of a peer that had left, by a rate limit",
  ],
  streamsOpened: ["streams_opened", "Streams opened to a peer"],
  streamsFailed: ["streams_failed", "Streams that could not be opened"],
  streamsServed: ["streams_served", "Streams of peers given to a handler"],
  streamsRelayed: ["streams_relayed", "Streams brought from one peer to another"],
  streamsRefused: ["streams_refused", "Streams of peers refused"],
  streamsBroken: ["streams_broken", "Streams of peers that broke before they were done"],
  streamErrors: ["stream_errors", "Streams of peers whose handler threw an error of its own"],
};

const POOL_COUNTERS: Readonly<Record<keyof PoolCounters, Metric>> = {
  acquires: ["pool_acquires", "Calls of acquire"],
  waits: ["pool_waits", "Calls of acquire that had to wait"],
  waitsAborted: ["pool_waits_aborted", "Waits given up by their signal"],
  waitTimeouts: ["pool_wait_timeouts", "Waits that took too long"],
  queueFull: ["pool_queue_full", "Calls refused as too many waited"],
  dialsExhausted: ["pool_dials_exhausted", "Calls that failed as their dials did"],
  noBackend: ["pool_no_backend", "Calls that failed because no backend was up"],
  retries: ["pool_retries", "Second and later attempts"],
  retriesRefused: ["pool_retries_refused", "Attempts that the budget did not allow"],
};

const BACKEND_COUNTERS: Readonly<Record<keyof BackendCounters, Metric>> = {
  bytesIn: COUNTERS.bytesIn,
  bytesOut: COUNTERS.bytesOut,
  messagesIn: COUNTERS.messagesIn,
  messagesOut: COUNTERS.messagesOut,
  leases: ["pool_backend_leases", "Leases that began"],
  leasesReused: ["pool_backend_leases_reused", "Leases of a connection that was used before"],
  leasesFailed: ["pool_backend_leases_failed", "Leases that ended badly"],
  leasesSpoiled: ["pool_backend_leases_spoiled", "Leases whose connection was not used again"],
  dials: COUNTERS.connectAttempts,
  dialFailures: COUNTERS.connectFailures,
  idleLost: ["pool_backend_idle_lost", "Idle connections that the backend ended or spoke on"],
  breakerOpened: ["pool_backend_breaker_opened", "Times that the circuit breaker opened"],
  ejections: ["pool_backend_ejections", "Times that it was ejected as an outlier"],
  healthChecks: ["pool_backend_health_checks", "Health checks"],
  healthFailures: ["pool_backend_health_failures", "Health checks that failed"],
};

const SERVER_STATES = ["created", "listening", "leaving", "draining", "stopped"] as const;
const CLIENT_STATES = ["connecting", "connected", "reconnecting", "closed"] as const;
const POOL_STATES = ["open", "closing", "closed"] as const;
const IPC_STATES = [
  "not-connected",
  "listening",
  "connecting",
  "connected",
  "reconnecting",
  "closing",
  "closed",
  "error",
  "timed-out",
  "disconnected",
] as const;
const LINKS = ["idle", "busy", "dialling", "closing"] as const;

/**
 * Writes a snapshot to `sink`, every sample with the labels `kind` and `name`.
 *
 * @param name tells this source from others of the process
 */
export function writeMetrics(sink: MetricSink, name: string, stats: Stats): void {
  const labels = { kind: stats.kind, name };
  writeState(sink, labels, stats);
  switch (stats.kind) {
    case "server":
      return writeServer(sink, labels, stats);
    case "client":
      return writeClient(sink, labels, stats);
    case "wire":
      return writeWire(sink, labels, stats);
    case "ipc":
      return writeIpc(sink, labels, stats);
    case "pool":
      return writePool(sink, labels, stats);
  }
}

function writeState(sink: MetricSink, labels: Labels, stats: Stats): void {
  const all = {
    server: SERVER_STATES,
    client: CLIENT_STATES,
    wire: stats.kind === "wire" && stats.role === "join" ? CLIENT_STATES : SERVER_STATES,
    ipc: IPC_STATES,
    pool: POOL_STATES,
  }[stats.kind];
  sink.state("state", "State, 1 for the one that holds", labels, { now: stats.state, all });
  if (stats.kind === "pool" || stats.startedAtMs === null) return;
  if ("certificate" in stats && stats.certificate !== undefined) {
    const help = "Time until the first of the certificates in force ends, below zero after that";
    sink.gauge("certificate_remaining_seconds", help, labels, stats.certificate.remainingMs / 1000);
  }
  sink.gauge(
    "start_time_seconds",
    "When it began, since the epoch",
    labels,
    stats.startedAtMs / 1000,
  );
}

function writeServer(sink: MetricSink, labels: Labels, stats: ServerStats): void {
  writeConnections(sink, labels, { open: stats.connectionsNow, pending: stats.pendingNow });
  sink.gauge("connections_peak", "Most connections at a time", labels, stats.connectionsPeak);
  sink.gauge(...QUEUED, labels, stats.queuedBytes);
  writeCounters(sink, labels, stats);
  writeHandshakes(sink, labels, stats);
  writeRequests(sink, labels, stats);
}

function writeClient(sink: MetricSink, labels: Labels, stats: ClientStats): void {
  writeConnections(sink, labels, { open: stats.connection === null ? 0 : 1 });
  sink.gauge(...QUEUED, labels, stats.connection?.queuedBytes ?? 0);
  sink.counter("connected_seconds", "Time that a link was up", labels, stats.connectedMs / 1000);
  writeCounters(sink, labels, stats);
}

function writeWire(sink: MetricSink, labels: Labels, stats: WireStats): void {
  const { sessions } = stats;
  writeConnections(sink, labels, { open: sessions.length, pending: stats.pendingNow });
  const streams = sessions.reduce((sum, session) => sum + session.streams, 0);
  sink.gauge("streams", "Streams that are open, control streams included", labels, streams);
  const rtts = sessions.flatMap(({ rttMs }) => rttMs === null ? [] : [rttMs]);
  if (rtts.length > 0) {
    const help = "Longest of the sessions' last ping round trips";
    sink.gauge("round_trip_max_seconds", help, labels, Math.max(...rtts) / 1000);
  }
  writeCounters(sink, labels, stats);
  writeHandshakes(sink, labels, stats);
}

function writeIpc(sink: MetricSink, labels: Labels, stats: IpcStats): void {
  writeConnections(sink, labels, { open: stats.connections.length });
  const queued = stats.connections.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
  sink.gauge(...QUEUED, labels, queued);
  const { handshakeFailures: _, ...overall } = stats.overall;
  writeCounters(sink, labels, { overall });
  const [name, help] = COUNTERS.handshakeFailures;
  for (const [reason, count] of Object.entries({ ...NO_FAILURE, ...stats.failed })) {
    sink.counter(name, help, { ...labels, reason }, count);
  }
  writeRequests(sink, labels, stats);
}

/** A family without samples is not shown: this one is there from the start. */
const NO_FAILURE = { "timed out": 0 };

function writePool(sink: MetricSink, labels: Labels, stats: PoolStats): void {
  sink.gauge("pool_waiting", "Callers that wait for a connection", labels, stats.waiting);
  for (const [counter, [name, help]] of entries(POOL_COUNTERS)) {
    sink.counter(name, help, labels, stats[counter]);
  }
  for (const backend of stats.backends) {
    const own = { ...labels, backend: backend.name };
    sink.gauge(
      "pool_backend_up",
      "Whether the backend gets work",
      own,
      backend.state === "ready" ? 1 : 0,
    );
    for (const use of LINKS) {
      sink.gauge("pool_connections", "Connections, by what they do", { ...own, use }, backend[use]);
    }
    for (const [counter, [name, help]] of entries(BACKEND_COUNTERS)) {
      sink.counter(name, help, own, backend[counter]);
    }
  }
}

const QUEUED = ["queued_bytes", "Bytes accepted for sending and not yet written"] as const;

function writeConnections(
  sink: MetricSink,
  labels: Labels,
  now: { readonly open: number; readonly pending?: number | undefined },
): void {
  sink.gauge("connections", "Connections that are open", labels, now.open);
  if (now.pending === undefined) return;
  sink.gauge(
    "connections_pending",
    "Connections whose handshake has not finished",
    labels,
    now.pending,
  );
}

/** Refusals are counted by reason where the reasons are known: their sum would count them twice. */
function writeCounters(
  sink: MetricSink,
  labels: Labels,
  { overall, refusedBy }: {
    readonly overall: Readonly<Partial<Record<keyof typeof COUNTERS, number>>>;
    readonly refusedBy?: Readonly<Record<string, number>> | undefined;
  },
): void {
  for (const [counter, [name, help]] of entries(COUNTERS)) {
    const value = overall[counter];
    if (value === undefined) continue;
    if (counter !== "connectionsRefused" || refusedBy === undefined) {
      sink.counter(name, help, labels, value);
    } else {
      for (const [reason, count] of Object.entries(refusedBy)) {
        sink.counter(name, help, { ...labels, reason }, count);
      }
    }
  }
}

function writeHandshakes(sink: MetricSink, labels: Labels, stats: ServerStats | WireStats): void {
  const help = "How long handshakes took that succeeded";
  sink.histogram("handshake_duration_seconds", help, labels, stats.handshakes);
}

function writeRequests(sink: MetricSink, labels: Labels, stats: ServerStats | IpcStats): void {
  const help =
    "Time from a message's or a query's arrival to what its handler sent next, or to its return";
  sink.histogram("request_duration_seconds", help, labels, stats.requests);
}

function entries<Key extends string>(record: Readonly<Record<Key, Metric>>): [Key, Metric][] {
  return Object.entries(record) as [Key, Metric][];
}
