// WorkersTally: adds up what all workers have counted, in total and by day.
import { Sweeper, type Swept } from "../async/sweeper.ts";
import { DayLedger } from "../stats/data/day_ledger.ts";
import type { NumericRecord } from "../stats/data/counters.ts";
import type { CountedStats } from "../stats/data/snapshots.ts";
import type { ConnectionPlaces } from "./connection_places.ts";
import { type ConnectionCounters, WorkerBooks } from "./worker_books.ts";

/** What counts in books: a slot. */
interface Keeper<Counters extends ConnectionCounters & NumericRecord<Counters>> {
  readonly books: WorkerBooks<Counters> | null;
}

/** What every snapshot of workers has. */
export interface WorkersSnapshot<Counters extends ConnectionCounters & NumericRecord<Counters>>
  extends CountedStats<Counters> {
  readonly startedAtMs: number | null;
  readonly onlineMs: number;
  /** Most connections at a time. */
  readonly peak: number;
  /** The sum of all books. */
  readonly sum: WorkerBooks<Counters>;
}

/** Counts what the workers of one server do. Every method may be called at any moment. */
export class WorkersTally<Counters extends ConnectionCounters & NumericRecord<Counters>> {
  readonly #names: readonly (keyof Counters & string)[];
  /** What threads that have ended counted. */
  readonly #ended: WorkerBooks<Counters>;
  readonly #places: ConnectionPlaces;
  readonly #days: DayLedger<Counters>;
  readonly #sweeper = new Sweeper();
  #daily: Swept | null = null;
  #startedAtMs: number | null = null;
  #stoppedAtMs: number | null = null;

  /** @param zero Makes counters that are all 0 */
  constructor(zero: () => Counters, places: ConnectionPlaces) {
    this.#names = Object.keys(zero()) as (keyof Counters & string)[];
    this.#ended = new WorkerBooks(this.#names);
    this.#days = new DayLedger(zero, Date.now());
    this.#places = places;
  }

  /** Names of the counters. */
  get names(): readonly (keyof Counters & string)[] {
    return this.#names;
  }

  /** Begins the time online. Call it when all workers listen. */
  start(slots: readonly Keeper<Counters>[]): void {
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
  add(books: WorkerBooks<Counters>): void {
    this.#ended.join(books);
  }

  /** What all workers have counted. */
  counters(slots: readonly Keeper<Counters>[]): Counters {
    return this.#sum(slots).counters;
  }

  /** Returns what is known of all workers together. */
  snapshot(slots: readonly Keeper<Counters>[]): WorkersSnapshot<Counters> {
    const takenAtMs = Date.now();
    const onlineUntilMs = this.#stoppedAtMs ?? takenAtMs;
    const sum = this.#sum(slots);
    this.#days.roll(takenAtMs, sum.counters);
    return {
      takenAtMs,
      startedAtMs: this.#startedAtMs,
      onlineMs: this.#startedAtMs === null ? 0 : Math.max(0, onlineUntilMs - this.#startedAtMs),
      overall: { ...sum.counters },
      today: this.#days.day(this.#days.today),
      days: this.#days.days(),
      peak: this.#places.peak,
      sum,
    };
  }

  /** What threads counted that have ended, and those that run. */
  #sum(slots: readonly Keeper<Counters>[]): WorkerBooks<Counters> {
    const sum = new WorkerBooks<Counters>(this.#names);
    sum.join(this.#ended);
    for (const { books } of slots) if (books !== null) sum.join(books);
    return sum;
  }
}
