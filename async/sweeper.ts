// Sweeper: one timer for the timeouts of many connections.

/** Shortest time between two sweeps, in ms: more would cost more than a timer for each connection. */
const MIN_INTERVAL_MS = 10;

/** Longest time between two sweeps, in ms. */
const MAX_INTERVAL_MS = 1000;

/** Lateness of a sweep in ms that is ordinary on a busy machine; beyond that the process stood still. */
const ORDINARY_DELAY_MS = 100;

/** What is looked after at intervals, such as the timeouts of one connection. */
export interface Swept {
  /** Looks after it. `nowMs` is a whole number that never goes back, and begins anywhere. */
  sweep(nowMs: number): void;
}

/** What the process keeps for its next use, such as buffers. */
export interface Keeper {
  /** Drops what was not needed lately. */
  trim(clockMs: number): void;
  /** Drops everything. */
  clear(): void;
}

/** Everything that is trimmed with the sweeps. */
const keepers: Keeper[] = [];

/** Sweepers that have entries. */
let running = 0;

/**
 * Trims `keeper` with the sweeps, and clears it when no sweeper has entries any more: so it needs
 * no timer that outlives the connections of the process.
 */
export function trimWithSweeps(keeper: Keeper): void {
  keepers.push(keeper);
}

/**
 * Calls every entry at intervals, so that a timeout needs no timer of its own. The timer does not
 * keep the process alive, and runs only while there are entries. A change of the interval does not
 * start the current period over: else connections that come and go would postpone the timeouts of
 * all others for ever.
 */
export class Sweeper {
  /** Entries, and the interval that each asked for, in ms. */
  readonly #entries = new Map<Swept, number>();
  /** Number of entries by the interval that they asked for. */
  readonly #wanted = new Map<number, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #intervalMs = Infinity;
  /** When the last sweep was, or the first entry was added, and when the next sweep is due, by the clock. */
  #sweptAtMs = 0;
  #dueAtMs = 0;
  /**
   * How long the process stood still, in ms: it did not see what peers sent or took meanwhile, so
   * that time counts against no peer.
   */
  #lostMs = 0;

  /**
   * The time that sweeps see, in whole ms: that of the clock, without the time in which the process
   * stood still. Connections keep such times, and fractions would cost each of them an object.
   */
  nowMs(): number {
    return Math.round(this.clockMs() - this.#lostMs);
  }

  /** The platform's clock, in ms. */
  protected clockMs(): number {
    return performance.now();
  }

  /**
   * Adds an entry, until it is removed.
   *
   * @param shortestMs the shortest timeout that the entry checks, in ms: the entry is called each
   * quarter of it, at 10 to 1000 ms
   */
  add(entry: Swept, shortestMs: number): void {
    const intervalMs = Math.min(
      MAX_INTERVAL_MS,
      Math.max(MIN_INTERVAL_MS, Math.floor(shortestMs / 4)),
    );
    if (this.#entries.size === 0) this.#sweptAtMs = this.clockMs();
    this.#entries.set(entry, intervalMs);
    this.#wanted.set(intervalMs, (this.#wanted.get(intervalMs) ?? 0) + 1);
    if (intervalMs < this.#intervalMs) this.#run(intervalMs);
  }

  /** Removes an entry, if it was added. */
  remove(entry: Swept): void {
    const intervalMs = this.#entries.get(entry);
    if (intervalMs === undefined) return;
    this.#entries.delete(entry);
    const left = this.#wanted.get(intervalMs)! - 1;
    if (left > 0) {
      this.#wanted.set(intervalMs, left);
      return;
    }
    this.#wanted.delete(intervalMs);
    if (intervalMs === this.#intervalMs) this.#run(Math.min(...this.#wanted.keys()));
  }

  /** Sweeps at this interval, counted from the last sweep. `Infinity` ends the sweeps. */
  #run(intervalMs: number): void {
    clearTimeout(this.#timer);
    if (this.#intervalMs === Infinity && intervalMs < Infinity) running++;
    else if (this.#intervalMs < Infinity && intervalMs === Infinity && --running === 0) {
      for (const keeper of keepers) keeper.clear();
    }
    this.#intervalMs = intervalMs;
    if (intervalMs === Infinity) return;
    const clockMs = this.clockMs();
    this.#dueAtMs = Math.max(clockMs, this.#sweptAtMs + intervalMs);
    this.#timer = setTimeout(this.#onDue, this.#dueAtMs - clockMs);
    Deno.unrefTimer(this.#timer);
  }

  readonly #onDue = (): void => {
    const clockMs = this.#sweptAtMs = this.clockMs();
    this.#lostMs += Math.max(0, clockMs - this.#dueAtMs - ORDINARY_DELAY_MS);
    const nowMs = this.nowMs();
    try {
      for (const keeper of keepers) keeper.trim(clockMs);
      for (const entry of this.#entries.keys()) entry.sweep(nowMs);
    } finally {
      // An entry that was added or removed meanwhile may have begun the next period already.
      this.#run(this.#intervalMs);
    }
  };
}

/** The sweeper of connections that belong to no server. */
export const sharedSweeper: Sweeper = new Sweeper();
