// ClientTally: counts what a Client does, over all its links and by day.
import type { Connection } from "../connection.ts";
import type { ConnectionEnd, Traffic } from "../connection/types.ts";
import { ClosedError, FramingError } from "../errors.ts";
import { addCounters, type ClientCounters, newClientCounters } from "../stats/data/counters.ts";
import { DayLedger } from "../stats/data/day_ledger.ts";
import { RecentErrors } from "../stats/data/recent_errors.ts";
import { type ClientStats, freezeDeep } from "../stats/data/snapshots.ts";
import { observeCounters, serverLabels, telemetryOn } from "../stats/telemetry/telemetry.ts";

/** Counters of one client. */
export class ClientTally {
  #counters: ClientCounters = newClientCounters();
  #days = new DayLedger(newClientCounters, Date.now());
  readonly #recent = new RecentErrors();
  #startedAtMs = Date.now();
  #connectedMs = 0;
  #linkSinceMs: number | null = null;
  #observe: () => void = () => {};
  #unobserve: (() => void) | null = null;

  /** Begins to export the counters; does nothing without a provider. */
  start(target: Parameters<typeof serverLabels>[0]): void {
    if (!telemetryOn()) return;
    const labels = {
      "parley.protocol": "messages",
      "parley.role": "client",
      ...serverLabels(target),
    };
    this.#observe = () => {
      this.#unobserve?.();
      const counters = this.#counters;
      this.#unobserve = observeCounters(labels, () => ({ ...counters }));
    };
    this.#observe();
  }

  /** Ends the export. */
  stop(): void {
    this.#unobserve?.();
  }

  /** Counts an attempt. */
  dialled(): void {
    this.#counters.connectAttempts++;
  }

  /** Counts an attempt that failed. */
  failed(): void {
    this.#counters.connectFailures++;
  }

  /**
   * Counts a link that came up. With `dropOld`, nothing before it counts any more except for the
   * attempt that led to it.
   */
  opened(dropOld: boolean): void {
    if (dropOld) {
      this.#counters = { ...newClientCounters(), connectAttempts: 1 };
      this.#days = new DayLedger(newClientCounters, Date.now());
      this.#startedAtMs = Date.now();
      this.#connectedMs = 0;
      this.#observe();
    }
    this.#counters.connectionsOpened++;
    this.#linkSinceMs = Date.now();
  }

  /** Counts an error of an attempt or of a link. */
  erred(error: unknown, phase: "connect" | "connection", server: string): void {
    this.#recent.add(error, { phase, peer: server });
  }

  /** Adds bytes and messages that a link moved. */
  moved(traffic: Traffic): void {
    const counters = this.#counters;
    counters.bytesIn += traffic.bytesIn;
    counters.bytesOut += traffic.bytesOut;
    counters.messagesIn += traffic.messagesIn;
    counters.messagesOut += traffic.messagesOut;
    this.#days.roll(Date.now(), counters);
  }

  /** Counts a link that has ended. */
  closed(end: ConnectionEnd): void {
    this.#counters.connectionsClosed++;
    if (end.error instanceof FramingError) this.#counters.framingErrors++;
    else if (end.error instanceof ClosedError && end.error.code === "ERR_RESET") {
      this.#counters.connectionsLost++;
    }
    if (this.#linkSinceMs !== null) {
      this.#connectedMs += Math.max(0, Date.now() - this.#linkSinceMs);
    }
    this.#linkSinceMs = null;
  }

  /** Returns all counters as plain data. */
  snapshot(state: ClientStats["state"], link: Connection | null): ClientStats {
    const takenAtMs = Date.now();
    const connection = link === null ? null : link.stats();
    this.#days.roll(takenAtMs, this.#counters);
    const overall = newClientCounters();
    addCounters(overall, this.#counters);
    return freezeDeep({
      kind: "client",
      state,
      takenAtMs,
      startedAtMs: this.#startedAtMs,
      onlineMs: Math.max(0, takenAtMs - this.#startedAtMs),
      connectedMs: this.#connectedMs +
        (this.#linkSinceMs === null ? 0 : Math.max(0, takenAtMs - this.#linkSinceMs)),
      overall,
      today: this.#days.day(this.#days.today),
      days: this.#days.days(),
      recentErrors: this.#recent.list(),
      connection,
    });
  }
}
