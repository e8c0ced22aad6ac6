// WorkersTally: adds up what all workers have counted, in total and by day.
import { Sweeper, type Swept } from "../async/sweeper.ts";
import type { Address } from "../net/transport/transport.ts";
import { addCounters, newServerCounters, type ServerCounters } from "../stats/data/counters.ts";
import { DayLedger } from "../stats/data/day_ledger.ts";
import type { RecentErrors } from "../stats/data/recent_errors.ts";
import { freezeDeep, type ServerStats } from "../stats/data/snapshots.ts";
import type { ConnectionPlaces } from "./connection_places.ts";
import { WorkerBooks } from "./worker_books.ts";
import type { WorkerSlot } from "./worker_slot.ts";

/** What a snapshot needs beside the counters. */
export interface WorkersSnapshotParts {
  readonly state: ServerStats["state"];
  readonly address: Address | null;
  readonly slots: readonly WorkerSlot[];
  readonly recent: RecentErrors;
}

/** Counts what the workers of one server do. Every method may be called at any moment. */
export class WorkersTally {
  /** What threads that have ended counted. */
  readonly #ended = new WorkerBooks(WorkerBooks.allocate());
  readonly #places: ConnectionPlaces;
  readonly #days = new DayLedger(newServerCounters, Date.now());
  readonly #sweeper = new Sweeper();
  #daily: Swept | null = null;
  #startedAtMs: number | null = null;
  #stoppedAtMs: number | null = null;

  constructor(places: ConnectionPlaces) {
    this.#places = places;
  }

  /** Begins the time online. Call it when all workers listen. */
  start(slots: readonly WorkerSlot[]): void {
    this.#startedAtMs = Date.now();
    const sweep = () => this.#days.roll(Date.now(), this.#sum(slots).counters);
    this.#sweeper.add(this.#daily = { sweep }, Infinity);
  }

  /** Ends the time online. */
  stop(): void {
    this.#stoppedAtMs ??= Date.now();
    if (this.#daily !== null) this.#sweeper.remove(this.#daily);
    this.#daily = null;
  }

  /** Takes over the counters of a thread that has ended. */
  add(books: WorkerBooks): void {
    join(this.#ended, books);
  }

  /** What all workers have counted. */
  counters(slots: readonly WorkerSlot[]): ServerCounters {
    return this.#sum(slots).counters;
  }

  /** Returns everything as plain data. */
  snapshot({ state, address, slots, recent }: WorkersSnapshotParts): ServerStats {
    const takenAtMs = Date.now();
    const onlineUntilMs = this.#stoppedAtMs ?? takenAtMs;
    const { counters, refused, handshakes, requests } = this.#sum(slots);
    const looks = slots.map(({ look }) => look);
    this.#days.roll(takenAtMs, counters);
    return freezeDeep({
      kind: "server",
      state,
      address,
      takenAtMs,
      startedAtMs: this.#startedAtMs,
      onlineMs: this.#startedAtMs === null ? 0 : Math.max(0, onlineUntilMs - this.#startedAtMs),
      connectionsNow: counters.connectionsOpened - counters.connectionsClosed,
      pendingNow: looks.reduce((sum, { pendingNow }) => sum + pendingNow, 0),
      connectionsPeak: this.#places.peak,
      queuedBytes: looks.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
      overall: { ...counters },
      today: this.#days.day(this.#days.today),
      days: this.#days.days(),
      refusedBy: { ...refused },
      handshakes: handshakes.stats(),
      requests: requests.stats(),
      recentErrors: recent.list(),
      connections: looks.flatMap(({ connections }) => connections),
    });
  }

  /** What threads counted that have ended, and those that run. */
  #sum(slots: readonly WorkerSlot[]): WorkerBooks {
    const sum = new WorkerBooks(WorkerBooks.allocate());
    join(sum, this.#ended);
    for (const { books } of slots) if (books !== null) join(sum, books);
    return sum;
  }
}

function join(sum: WorkerBooks, addend: WorkerBooks): void {
  addCounters(sum.counters, addend.counters);
  addCounters(sum.refused, addend.refused);
  sum.handshakes.join(addend.handshakes);
  sum.requests.join(addend.requests);
}
