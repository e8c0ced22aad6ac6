// TestClock: time that stands still until a test advances it.
import type { Clock } from "../../../async/clock.ts";

/** Turns of the microtask queue that let everything awake come to rest between two timers. */
const SETTLE_HOPS = 100;
/**
 * A jump so long, in ms, must not overtake what is still awake: many chunks of one moment take more
 * turns.
 */
const LONG_JUMP_MS = 1000;
const LONG_SETTLE_HOPS = 2000;

/** Lets all promises that can settle do so, without any time passing. */
export async function settle(hops: number = SETTLE_HOPS): Promise<void> {
  for (let hop = 0; hop < hops; hop++) await undefined;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Options of {@linkcode TestClock}. */
export interface TestClockOptions {
  /** Lets everything awake come to rest, within so many turns. @default {settle, of the microtask queue} */
  readonly settle?: ((hops: number) => Promise<void>) | undefined;
}

/** A clock whose timers fire in order as the test advances it. */
export class TestClock implements Clock {
  /** Lets everything awake come to rest. */
  readonly settle: (hops: number) => Promise<void>;
  #now = 0;
  #order = 0;
  #timers: Timer[] = [];

  constructor(options: TestClockOptions = {}) {
    this.settle = options.settle ?? settle;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    let index = this.#timers.length;
    while (index > 0 && (this.#timers[index - 1] as Timer).at > timer.at) index -= 1;
    this.#timers.splice(index, 0, timer);
    return () => {
      const found = this.#timers.indexOf(timer);
      if (found >= 0) this.#timers.splice(found, 1);
    };
  }

  /** Resolves when so much time has been advanced. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets `ms` pass: timers fire at their moments, and everything they wake runs before the next one. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle(SETTLE_HOPS);
    while (this.#step(end)) await this.settle(SETTLE_HOPS);
    this.#now = end;
    await this.settle(SETTLE_HOPS);
  }

  /**
   * Lets time pass until `done()`; false when `limitMs` have passed first, or nothing is left to
   * wait for.
   */
  async runUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    const end = this.#now + limitMs;
    await this.settle(SETTLE_HOPS);
    while (!done()) {
      if (this.#nextAt - this.#now > LONG_JUMP_MS) {
        await this.settle(LONG_SETTLE_HOPS);
        if (done()) return true;
      }
      if (!this.#step(end)) return false;
      await this.settle(SETTLE_HOPS);
    }
    return true;
  }

  get #nextAt(): number {
    return this.#timers[0]?.at ?? this.#now;
  }

  /** Fires the next timer that is due before `end`; timers of the same moment fire together. */
  #step(end: number): boolean {
    const first = this.#timers[0];
    if (first === undefined || first.at > end) return false;
    this.#now = Math.max(this.#now, first.at);
    while (this.#timers[0] !== undefined && this.#timers[0].at <= this.#now) {
      (this.#timers.shift() as Timer).callback();
    }
    return true;
  }
}
