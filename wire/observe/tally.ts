// WireTally: counts what a side of the wire does, over all and by day.
import { sharedSweeper, type Swept } from "../../async/sweeper.ts";
import type { Admission } from "../../limits/admission.ts";
import type { Address } from "../../net/transport/transport.ts";
import { newWireCounters, type WireCounters } from "../../stats/data/counters.ts";
import { DayLedger } from "../../stats/data/day_ledger.ts";
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import { LiveSum } from "../../stats/data/live_sum.ts";
import { escapeForLog } from "../../log/text.ts";
import type { RecentErrors } from "../../stats/data/recent_errors.ts";
import { freezeDeep, type WireSessionStats, type WireStats } from "../../stats/data/snapshots.ts";
import { Calls } from "./calls.ts";
import type { Link } from "../session/link.ts";
import { NameTraffic } from "./name_traffic.ts";

/** Bytes and frames, which each session counts for itself. */
interface MuxTraffic {
  bytesIn: number;
  bytesOut: number;
  framesIn: number;
  framesOut: number;
}

const newMuxTraffic = (): MuxTraffic => ({ bytesIn: 0, bytesOut: 0, framesIn: 0, framesOut: 0 });

/** Names that a peer handles which a snapshot lists. */
const MAX_OFFERS = 64;

/** What holds of a wire besides what was counted. */
export interface WireNow {
  readonly role: WireStats["role"];
  readonly state: WireStats["state"];
  readonly address: Address | null;
  readonly links: Iterable<Link>;
  /** Of a listening side. */
  readonly admission?: Admission<unknown> | undefined;
  /** Where its errors are kept. */
  readonly recent: RecentErrors;
}

/** What a side of the wire counts in. Another thread may read it. */
export interface WireBooks {
  readonly counters: WireCounters;
  readonly handshakes: DurationHistogram;
}

/** Counters of one side of the wire. */
export class WireTally implements Swept, WireBooks {
  /** Over all; they only grow. Bytes and frames come from the sessions when they are asked for. */
  readonly counters: WireCounters;
  /** How long handshakes took. */
  readonly handshakes: DurationHistogram;
  /** Streams that a hub relays now. */
  readonly calls: Calls = new Calls();
  /** What went over streams, by name. */
  readonly names: NameTraffic = new NameTraffic();
  readonly #traffic = new LiveSum(newMuxTraffic);
  readonly #days = new DayLedger(newWireCounters, Date.now());
  readonly #startedAtMs = Date.now();
  #stoppedAtMs: number | null = null;

  /** Counts in `books`. @default {books of its own} */
  constructor(
    books: WireBooks = { counters: newWireCounters(), handshakes: new DurationHistogram() },
  ) {
    this.counters = books.counters;
    this.handshakes = books.handshakes;
  }

  /** Days are told apart from now on, until {@linkcode stop}. */
  start(): void {
    sharedSweeper.add(this, Infinity);
  }

  /** Counts by day. */
  sweep(): void {
    this.#roll(Date.now());
  }

  /** The wire is over. */
  stop(): void {
    this.#stoppedAtMs ??= Date.now();
    sharedSweeper.remove(this);
  }

  /**
   * A session is open. Call the result at its end: it returns whether this side has opened or
   * served a stream meanwhile.
   */
  opened({ established: { mux } }: Link): () => boolean {
    this.counters.connectionsOpened++;
    const streams = () => this.counters.streamsOpened + this.counters.streamsServed;
    const before = streams();
    const end = this.#traffic.add(() => {
      const { bytesIn, bytesOut, framesIn, framesOut } = mux.stats();
      return { bytesIn, bytesOut, framesIn, framesOut };
    });
    return () => {
      this.counters.connectionsClosed++;
      end();
      return streams() > before;
    };
  }

  /** All of it as plain data. */
  snapshot({ role, state, address, links, admission, recent }: WireNow): WireStats {
    const takenAtMs = Date.now();
    const overall = this.#roll(takenAtMs);
    return freezeDeep({
      kind: "wire",
      role,
      state,
      address,
      takenAtMs,
      startedAtMs: this.#startedAtMs,
      onlineMs: Math.max(0, (this.#stoppedAtMs ?? takenAtMs) - this.#startedAtMs),
      pendingNow: admission?.pending ?? 0,
      overall,
      today: this.#days.day(this.#days.today),
      days: this.#days.days(),
      refusedBy: admission?.refused ?? {},
      handshakes: this.handshakes.stats(),
      recentErrors: recent.list(),
      sessions: Array.from(links, sessionStats),
      calls: this.calls.list(),
      trafficByName: this.names.list(),
    });
  }

  #roll(nowMs: number): WireCounters {
    Object.assign(this.counters, this.#traffic.total());
    const totals = { ...this.counters };
    this.#days.roll(nowMs, totals);
    return totals;
  }
}

function sessionStats({ established, offers, openedAtMs, openedMs }: Link): WireSessionStats {
  const { bytesIn, bytesOut, streams, bufferedBytes, rttMs = null } = established.mux.stats();
  return {
    id: established.id,
    identity: established.identity,
    remoteAddr: established.transport.remoteAddr,
    openedAtMs,
    onlineMs: performance.now() - openedMs,
    bytesIn,
    bytesOut,
    streams,
    bufferedBytes,
    rttMs,
    offers: offers.slice(0, MAX_OFFERS).map((name) => escapeForLog(name)),
  };
}
