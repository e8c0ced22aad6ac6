// SharedTimer: a clock whose many waits share one timer of the platform, for waits that mostly end early.
import type { Clock } from "./clock.ts";

/** One wait. */
interface Entry {
  readonly dueAtMs: number;
  readonly callback: () => void;
}

/**
 * A clock for waits that come and go by the thousand and seldom run out, such as the deadlines of
 * calls: a timer of the platform for each costs more than all the rest of a call.
 *
 * The timer is set for the earliest wait and stays set when that wait ends early, so that the next
 * wait need not set it again. It keeps the process alive only while there are waits. Its owner must
 * {@linkcode stop} it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const timer = new SharedTimer();
 * const cancel = timer.after(60_000, () => {});
 * assertEquals(timer.size, 1);
 * cancel();
 * assertEquals(timer.size, 0);
 * timer.stop();
 * ```
 */
export class SharedTimer implements Clock {
  readonly #entries = new Set<Entry>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isReferenced = false;
  #firesAtMs = Infinity;
  #isStopped = false;

  /** Number of waits. */
  get size(): number {
    return this.#entries.size;
  }

  /** Milliseconds since the process began; never goes back. */
  now(): number {
    return performance.now();
  }

  /** Calls `callback` once, after `delayMs`. Returns the function that cancels that. */
  after(delayMs: number, callback: () => void): () => void {
    const entry: Entry = { dueAtMs: this.now() + delayMs, callback };
    this.#entries.add(entry);
    if (entry.dueAtMs < this.#firesAtMs) this.#set(entry.dueAtMs, delayMs);
    else this.#reference(true);
    return () => {
      this.#entries.delete(entry);
      if (this.#entries.size > 0) return;
      if (this.#isStopped) this.stop();
      else this.#reference(false);
    };
  }

  /**
   * Drops all waits, whose callbacks are not called, and the timer. From then on the timer does not
   * outlive the last wait.
   */
  stop(): void {
    this.#isStopped = true;
    this.#entries.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#firesAtMs = Infinity;
  }

  #set(firesAtMs: number, delayMs: number): void {
    clearTimeout(this.#timer);
    this.#firesAtMs = firesAtMs;
    this.#timer = setTimeout(this.#onTime, Math.max(0, delayMs));
    this.#isReferenced = true;
  }

  #reference(isWanted: boolean): void {
    if (this.#timer === undefined || this.#isReferenced === isWanted) return;
    this.#isReferenced = isWanted;
    if (isWanted) Deno.refTimer(this.#timer);
    else Deno.unrefTimer(this.#timer);
  }

  readonly #onTime = (): void => {
    this.#timer = undefined;
    this.#firesAtMs = Infinity;
    const nowMs = this.now();
    const due = [...this.#entries].filter(({ dueAtMs }) => dueAtMs <= nowMs);
    for (const entry of due) {
      // A callback may have cancelled another wait.
      if (this.#entries.delete(entry)) entry.callback();
    }
    let firstAtMs = Infinity;
    for (const { dueAtMs } of this.#entries) firstAtMs = Math.min(firstAtMs, dueAtMs);
    if (firstAtMs < this.#firesAtMs) this.#set(firstAtMs, Math.ceil(firstAtMs - this.now()));
  };
}
