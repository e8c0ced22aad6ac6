// ServerTally: counts what a server does, in total and by day, and keeps closed connections.
import type { Connection } from "../connection.ts";
import type { Sweeper, Swept } from "../async/sweeper.ts";
import type { ConnectionEnd, Traffic } from "../connection/types.ts";
import { ParleyError, type ParleyErrorCode } from "../errors.ts";
import type { Admission } from "../limits/admission.ts";
import type { Address } from "../net/transport/transport.ts";
import { ClosedLog, type ClosedLogOptions } from "../stats/data/closed_log.ts";
import { addCounters, newServerCounters, type ServerCounters } from "../stats/data/counters.ts";
import { DayLedger } from "../stats/data/day_ledger.ts";
import { DurationHistogram } from "../stats/data/duration_histogram.ts";
import type { RecentErrors } from "../stats/data/recent_errors.ts";
import { type ConnectionStats, freezeDeep, type ServerStats } from "../stats/data/snapshots.ts";
import { observeCounters, serverLabels, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { Blame } from "./blame.ts";

/** Error codes of an end that have a counter of their own. */
const COUNTED: Readonly<Partial<Record<ParleyErrorCode, keyof ServerCounters>>> = {
  ERR_IDLE_TIMEOUT: "idleTimeouts",
  ERR_READ_TIMEOUT: "idleTimeouts",
  ERR_SLOW_CONSUMER: "slowConsumers",
  ERR_WRITE_TIMEOUT: "slowConsumers",
  ERR_RATE_LIMITED: "rateLimitDrops",
  ERR_RESET: "connectionsLost",
  ERR_TLS_HANDSHAKE: "connectionsLost",
  ERR_FRAME_TOO_LARGE: "framingErrors",
  ERR_FRAME_TRUNCATED: "framingErrors",
  ERR_FRAME_MALFORMED: "framingErrors",
};

/** A connection that has ended. Its counters are frozen when they are first shown: few ever are. */
interface Ended {
  stats: ConnectionStats;
}

/** What a server counts in. Another thread may read it. */
export interface TallyBooks {
  /** Totals. They only grow. */
  readonly counters: ServerCounters;
  /** How long handshakes took. */
  readonly handshakes: DurationHistogram;
  /** How long handlers took to answer messages. */
  readonly requests: DurationHistogram;
}

/** Books of a server that counts for itself. */
export function newTallyBooks(): TallyBooks {
  return {
    counters: newServerCounters(),
    handshakes: new DurationHistogram(),
    requests: new DurationHistogram(),
  };
}

/** Counters of one server. Every method may be called at any moment. */
export class ServerTally implements TallyBooks, Swept {
  readonly counters: ServerCounters;
  readonly handshakes: DurationHistogram;
  readonly requests: DurationHistogram;
  readonly #days = new DayLedger(newServerCounters, Date.now());
  readonly #closed: ClosedLog<Ended>;
  readonly #sweeper: Sweeper;
  readonly #recent: RecentErrors;
  #unobserve: (() => void) | null = null;
  #startedAtMs: number | null = null;
  #stoppedAtMs: number | null = null;
  #peak = 0;

  constructor(
    sweeper: Sweeper,
    recent: RecentErrors,
    closedLog: ClosedLogOptions = {},
    books: TallyBooks = newTallyBooks(),
  ) {
    this.counters = books.counters;
    this.handshakes = books.handshakes;
    this.requests = books.requests;
    this.#sweeper = sweeper;
    this.#recent = recent;
    this.#closed = new ClosedLog(closedLog);
  }

  /** Begins the time online, and counts by day. Call it when the server listens. */
  start(address: Address): void {
    this.#startedAtMs = Date.now();
    if (telemetryOn()) {
      const labels = {
        "parley.protocol": "messages",
        "parley.role": "server",
        ...serverLabels(address),
      };
      this.#unobserve = observeCounters(labels, () => ({ ...this.counters }));
    }
    this.#sweeper.add(this, Infinity);
  }

  /** Counts by day. */
  sweep(): void {
    this.#days.roll(Date.now(), this.counters);
  }

  /** Ends the time online. Call it when the server has stopped. */
  stop(): void {
    this.#stoppedAtMs = Date.now();
    this.#sweeper.remove(this);
    this.#settleTelemetry();
  }

  /**
   * Ends telemetry once the server has stopped and its last connection has ended: nothing is
   * counted after that.
   */
  #settleTelemetry(): void {
    const { connectionsOpened, connectionsClosed } = this.counters;
    if (this.#stoppedAtMs !== null && connectionsOpened === connectionsClosed) this.#unobserve?.();
  }

  /** Counts a connection that was set up, after which `open` are open. */
  opened(open: number): void {
    this.counters.connectionsOpened++;
    this.#peak = Math.max(this.#peak, open);
  }

  /** Counts traffic. */
  moved(traffic: Traffic): void {
    const { counters } = this;
    counters.bytesIn += traffic.bytesIn;
    counters.bytesOut += traffic.bytesOut;
    counters.messagesIn += traffic.messagesIn;
    counters.messagesOut += traffic.messagesOut;
  }

  /** Counts and keeps a connection that has ended. */
  closed(connection: Connection, end: ConnectionEnd): void {
    this.counters.connectionsClosed++;
    const counter = end.error instanceof ParleyError ? COUNTED[end.error.code] : undefined;
    if (counter !== undefined) this.counters[counter]++;
    this.#settleTelemetry();
    this.#closed.add(connection.id, { stats: connection.stats() }, performance.now());
  }

  /**
   * Counts a handler that threw. The outcome of its connection is counted by {@linkcode closed}.
   */
  threw(blame: Blame): void {
    if (blame === "handler") this.counters.handlerErrors++;
    else if (blame === "silence") this.counters.idleTimeouts++;
  }

  /**
   * Updates an ended connection after its handler returned: it may have read on what had arrived.
   */
  settle(connection: Connection): void {
    const ended = this.#closed.get(connection.id, performance.now());
    if (ended !== undefined) ended.stats = connection.stats();
  }

  /** Connections that have ended and are kept, the newest first. */
  closedConnections(): readonly ConnectionStats[] {
    return this.#closed.list(performance.now()).map(({ stats }) => freezeDeep(stats));
  }

  /** An ended connection by id. */
  closedConnection(id: string): ConnectionStats | undefined {
    const ended = this.#closed.get(id, performance.now());
    return ended === undefined ? undefined : freezeDeep(ended.stats);
  }

  /** Returns all counters as plain data. */
  snapshot(
    state: ServerStats["state"],
    address: Address | null,
    connections: Iterable<Connection>,
    admission: Admission<unknown>,
  ): ServerStats {
    const takenAtMs = Date.now();
    const onlineUntilMs = this.#stoppedAtMs ?? takenAtMs;
    const list = Array.from(connections, (connection) => connection.stats());
    this.#days.roll(takenAtMs, this.counters);
    const overall = newServerCounters();
    addCounters(overall, this.counters);
    return freezeDeep({
      kind: "server",
      state,
      address,
      takenAtMs,
      startedAtMs: this.#startedAtMs,
      onlineMs: this.#startedAtMs === null ? 0 : Math.max(0, onlineUntilMs - this.#startedAtMs),
      connectionsNow: list.length,
      pendingNow: admission.pending,
      connectionsPeak: this.#peak,
      queuedBytes: list.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
      overall,
      today: this.#days.day(this.#days.today),
      days: this.#days.days(),
      refusedBy: admission.refused,
      handshakes: this.handshakes.stats(),
      requests: this.requests.stats(),
      recentErrors: this.#recent.list(),
      connections: list,
    });
  }
}
