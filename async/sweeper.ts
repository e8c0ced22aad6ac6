// Sweeper: one timer that looks after the timeouts of many connections.

/** Most exact: how often a sweep may run. */
const MIN_INTERVAL_MS = 10;

/** Least exact: how often a sweep runs at least. */
const MAX_INTERVAL_MS = 1000;

/** A sweep that is late by less is ordinary on a busy machine; what is more was a standstill. */
const ORDINARY_DELAY_MS = 100;

/** Looks at one connection; `nowMs` grows steadily and begins anywhere. */
export type Sweep = (nowMs: number) => void;

/**
 * Calls every entry now and then, so that a timeout needs no timer of its own. The timer does not keep the process alive
 * and runs only while there are entries. A period goes on when the interval changes: else connections that come and go
 * would postpone the timeouts of all others for ever.
 */
export class Sweeper {
  readonly #entries = new Set<Sweep>();
  /** How many entries want which interval. */
  readonly #wanted = new Map<number, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #intervalMs = Infinity;
  /** When the last sweep was, or the first entry came, and when the next one is due, by the clock. */
  #sweptAtMs = 0;
  #dueAtMs = 0;
  /** For how long the process stood still: what peers sent or took meanwhile was not seen, so that time counts against none. */
  #lostMs = 0;

  /** The time that sweeps see, in ms: that of the clock, without the time in which the process stood still. */
  nowMs(): number {
    return this.clockMs() - this.#lostMs;
  }

  /** The platform's clock, in ms. */
  protected clockMs(): number {
    return performance.now();
  }

  /**
   * Adds an entry; the result takes it out again.
   *
   * @param shortestMs the shortest time that the entry watches: it is seen within a quarter of it, at 10 to 1000 ms
   */
  add(sweep: Sweep, shortestMs: number): () => void {
    const intervalMs = Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, Math.floor(shortestMs / 4)));
    if (this.#entries.size === 0) this.#sweptAtMs = this.clockMs();
    this.#entries.add(sweep);
    this.#wanted.set(intervalMs, (this.#wanted.get(intervalMs) ?? 0) + 1);
    if (intervalMs < this.#intervalMs) this.#run(intervalMs);
    return () => {
      if (this.#entries.delete(sweep)) this.#release(intervalMs);
    };
  }

  #release(intervalMs: number): void {
    const left = this.#wanted.get(intervalMs)! - 1;
    if (left > 0) {
      this.#wanted.set(intervalMs, left);
      return;
    }
    this.#wanted.delete(intervalMs);
    if (intervalMs === this.#intervalMs) this.#run(Math.min(...this.#wanted.keys()));
  }

  /** Sweeps at this interval from the last sweep on; not at all when it is infinite. */
  #run(intervalMs: number): void {
    clearTimeout(this.#timer);
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
      for (const sweep of this.#entries) sweep(nowMs);
    } finally {
      // An entry that came or went meanwhile may have begun the next period already.
      this.#run(this.#intervalMs);
    }
  };
}

/** Looks after connections that belong to no server. */
export const sharedSweeper: Sweeper = new Sweeper();
