// IpcTally: counts what a server, a client or a peer does, over all its connections and by day.
import { sharedSweeper, type Swept } from "../../async/sweeper.ts";
import type { Address } from "../../net/transport/transport.ts";
import { addCounters, type IpcCounters, type IpcTraffic } from "../../stats/data/counters.ts";
import { newIpcCounters, newIpcTraffic } from "../../stats/data/counters.ts";
import { DayLedger } from "../../stats/data/day_ledger.ts";
import { DurationHistogram, type DurationStats } from "../../stats/data/duration_histogram.ts";
import { LiveSum } from "../../stats/data/live_sum.ts";
import type { RecentErrors } from "../../stats/data/recent_errors.ts";
import { freezeDeep, type IpcLinkStats, type IpcStats } from "../../stats/data/snapshots.ts";
import type { IpcLink } from "../link/link.ts";
import { breachOf, peerName, reportOutcome } from "./link_outcomes.ts";
import type { LinkOutcome } from "../link/state.ts";
import type { IpcReporter } from "./reporter.ts";

/** What a snapshot says beside the counters. */
export interface IpcNow {
  readonly role: IpcStats["role"];
  readonly name: string;
  readonly state: string;
  readonly address: Address | null;
  /** Handshakes that failed, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  /** Where its errors are kept. */
  readonly recent: RecentErrors;
}

/** Counters of one endpoint of a channel. */
export class IpcTally implements Swept {
  /** In total; they only grow. Traffic of open connections is added when a snapshot is taken. */
  readonly counters: IpcCounters = newIpcCounters();
  /** How long queries of connections took that have ended. */
  readonly #requests = new DurationHistogram();
  readonly #traffic = new LiveSum<IpcTraffic>(newIpcTraffic);
  readonly #days = new DayLedger(newIpcCounters, Date.now());
  readonly #links = new Map<
    IpcLink,
    Pick<IpcLinkStats, "remoteAddr" | "openedAtMs"> & { openedMs: number }
  >();
  readonly #reporter: IpcReporter;
  readonly #startedAtMs = Date.now();
  #stoppedAtMs: number | null = null;

  /** Makes counters that are all 0; ends of connections go to `reporter`. */
  constructor(reporter: IpcReporter) {
    this.#reporter = reporter;
    sharedSweeper.add(this, Infinity);
  }

  /** Counts by day. */
  sweep(): void {
    this.#roll(Date.now());
  }

  /** The endpoint has ended. */
  stop(): void {
    this.#stoppedAtMs ??= Date.now();
    sharedSweeper.remove(this);
  }

  /** Counts a connection, and follows it until it ends. */
  opened(link: IpcLink, remoteAddr: Address | null): void {
    this.counters.connectionsOpened++;
    this.#links.set(link, { remoteAddr, openedAtMs: Date.now(), openedMs: performance.now() });
    const end = this.#traffic.add(() => link.stats());
    void link.closed.then((how) => {
      this.counters.connectionsClosed++;
      this.#links.delete(link);
      this.#requests.join(link.requests);
      end();
      this.ended(how, peerName(remoteAddr, link.sessionId));
    });
  }

  /** Counts and reports what a hook or a handler of the application threw. */
  handlerFailed(error: unknown, phase: "client" | "query"): void {
    this.counters.handlerErrors++;
    this.#reporter.report(error, phase);
  }

  /** Counts and reports how a connection to `peer` ended, or an attempt to make one. */
  ended(end: LinkOutcome, peer: string): void {
    if (breachOf(end) !== null) this.counters.protocolErrors++;
    reportOutcome(this.#reporter, end, peer);
  }

  /** One connection, while it is open. */
  linkStats(link: IpcLink): IpcLinkStats {
    const known = this.#links.get(link);
    const { remoteAddr = null, openedAtMs = Date.now(), openedMs = performance.now() } = known ??
      {};
    return {
      id: link.sessionId,
      remoteAddr,
      state: link.isOpen ? "connected" : known === undefined ? "closed" : "closing",
      openedAtMs,
      onlineMs: performance.now() - openedMs,
      queuedBytes: link.queuedBytes,
      ...link.stats(),
    };
  }

  /** All counters as plain data. */
  snapshot({ role, name, state, address, failed, recent }: IpcNow): IpcStats {
    const takenAtMs = Date.now();
    const overall = this.#roll(takenAtMs);
    return freezeDeep({
      kind: "ipc",
      role,
      name,
      state,
      address,
      takenAtMs,
      startedAtMs: this.#startedAtMs,
      onlineMs: Math.max(0, (this.#stoppedAtMs ?? takenAtMs) - this.#startedAtMs),
      overall,
      today: this.#days.day(this.#days.today),
      days: this.#days.days(),
      failed: { ...failed },
      requests: this.#requestTimes(),
      recentErrors: recent.list(),
      connections: Array.from(this.#links.keys(), (link) => this.linkStats(link)),
    });
  }

  #requestTimes(): DurationStats {
    const sum = new DurationHistogram();
    sum.join(this.#requests);
    for (const link of this.#links.keys()) sum.join(link.requests);
    return sum.stats();
  }

  #roll(nowMs: number): IpcCounters {
    const totals = newIpcCounters();
    addCounters(totals, this.counters);
    addCounters<IpcTraffic>(totals, this.#traffic.total());
    this.#days.roll(nowMs, totals);
    return totals;
  }
}
