// ManualWatchClock: time for what looks at certificates, moved by a test.
import { assert } from "@std/assert";
import type { WatchClock } from "../../../tls/watch.ts";

/** What a clock begins with. */
export interface ManualWatchClockOptions {
  /** The time at first, in ms. @default {the real one} */
  readonly nowMs?: number | undefined;
  /** Looks that may be planned at a time. @default {2} one at files and one at the certificate's end */
  readonly maxPlanned?: number | undefined;
}

/** A clock that stands until a test moves it; what is due is waited for. */
export class ManualWatchClock implements WatchClock {
  readonly #maxPlanned: number;
  readonly #due = new Set<{ readonly run: () => Promise<void>; readonly atMs: number }>();
  /** The time, in ms. */
  nowMs: number;
  /** The longest time that anything was planned for, in ms. */
  longestMs = 0;

  constructor({ nowMs = Date.now(), maxPlanned = 2 }: ManualWatchClockOptions = {}) {
    this.nowMs = nowMs;
    this.#maxPlanned = maxPlanned;
  }

  /** Whether a look is planned. */
  get isPlanned(): boolean {
    return this.#due.size > 0;
  }

  /** The time, in ms. */
  now(): number {
    return this.nowMs;
  }

  /** Plans a look. */
  schedule(run: () => Promise<void>, delayMs: number): () => void {
    assert(this.#due.size < this.#maxPlanned, `at most ${this.#maxPlanned} looks at a time`);
    assert(delayMs >= 0 && delayMs < 2 ** 31, `a timer of ${delayMs} ms`);
    this.longestMs = Math.max(this.longestMs, delayMs);
    const due = { run, atMs: this.nowMs + delayMs };
    this.#due.add(due);
    return () => this.#due.delete(due);
  }

  /** Moves the time, and waits for what is due by then. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (let due = this.#next(); due !== undefined && due.atMs <= endMs; due = this.#next()) {
      this.#due.delete(due);
      this.nowMs = due.atMs;
      await due.run();
    }
    this.nowMs = endMs;
  }

  #next() {
    return [...this.#due].sort((a, b) => a.atMs - b.atMs)[0];
  }
}
