// DayLedger: splits counters that only grow into local calendar days.
import { StatsError } from "../../errors.ts";
import { checkInteger } from "../../options/check.ts";
import { addCounters, type NumericRecord } from "./counters.ts";

/** Milliseconds in a minute. */
const MINUTE_MS = 60_000;

/** Last moment that a date can hold, in milliseconds since the epoch: ECMA-262, section 21.4.1.1. */
const MAX_DATE_MS = 8.64e15;

/** What was counted in one local calendar day. */
export interface DayStats<Counters> {
  /** The day, as `YYYY-MM-DD`. */
  readonly day: string;
  /** What was counted in it. */
  readonly counters: Readonly<Counters>;
}

/**
 * Returns the offset of local time from UTC at a moment, in minutes, east positive: 60 for Central European
 * winter time. (`Date.getTimezoneOffset` has the opposite sign.)
 */
export type TimeZoneOffset = (epochMs: number) => number;

/** Options of {@linkcode DayLedger}. */
export interface DayLedgerOptions {
  /** Days that are kept; the oldest go first. @default {400, a year and the same month of the year before} */
  readonly maxDays?: number | undefined;
  /** Offset of local time. @default {that of the system} */
  readonly timeZoneOffset?: TimeZoneOffset | undefined;
}

/**
 * Returns the offset of the system's local time from UTC, in minutes, east positive.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * assert(Math.abs(systemTimeZoneOffset(Date.now())) <= 14 * 60);
 * ```
 */
export function systemTimeZoneOffset(epochMs: number): number {
  return -new Date(epochMs).getTimezoneOffset();
}

/**
 * Returns the local calendar day of a moment, as `YYYY-MM-DD`.
 *
 * @param offset Offset of local time; the system's when absent
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const lateEvening = Date.UTC(2026, 10, 21, 23, 30);
 * assertEquals(dayKey(lateEvening, () => 0), "2026-11-21");
 * assertEquals(dayKey(lateEvening, () => 60), "2026-11-22");
 * ```
 */
export function dayKey(epochMs: number, offset: TimeZoneOffset = systemTimeZoneOffset): string {
  const localMs = Math.min(MAX_DATE_MS, Math.max(0, epochMs + offset(epochMs) * MINUTE_MS));
  const iso = new Date(localMs).toISOString();
  return iso.slice(0, iso.indexOf("T"));
}

/**
 * Splits counters into local calendar days. Hot paths count on one object that only grows; {@linkcode roll}
 * is called now and then (by the server's one timer, and before every snapshot) and books what has been added
 * since the last call on the day of that last call, so a day's end is as exact as the calls are frequent.
 *
 * The clock may be set back or forward, and summer time may begin or end: what is counted goes to the day
 * that the clock shows, days may be re-entered, and nothing is counted twice or lost.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const newCounters = () => ({ messagesIn: 0, messagesOut: 0 });
 * const totals = newCounters();
 * const ledger = new DayLedger(newCounters, Date.UTC(2026, 10, 21, 12), { timeZoneOffset: () => 0 });
 * totals.messagesIn = 5;
 * ledger.roll(Date.UTC(2026, 10, 22, 0, 0, 1), totals);
 * totals.messagesIn = 7;
 * ledger.roll(Date.UTC(2026, 10, 22, 9), totals);
 * assertEquals(ledger.day("2026-11-21").counters.messagesIn, 5);
 * assertEquals(ledger.day("2026-11-22").counters.messagesIn, 2);
 * ```
 */
export class DayLedger<Counters extends NumericRecord<Counters>> {
  readonly #zero: () => Counters;
  readonly #maxDays: number;
  readonly #offset: TimeZoneOffset;
  readonly #days: Map<string, Counters> = new Map();
  /** Frozen copies of days that are not the current one. */
  readonly #frozen: Map<string, DayStats<Counters>> = new Map();
  #today: string;
  #booked: Counters;

  /**
   * Begins on the day of `nowMs`, with nothing counted.
   *
   * @param zero Makes counters that are all 0
   * @param nowMs Milliseconds since the epoch, as `Date.now()`
   * @throws {TypeError} when `maxDays` is no number
   * @throws {RangeError} when `maxDays` is out of range
   */
  constructor(zero: () => Counters, nowMs: number, options: DayLedgerOptions = {}) {
    const { maxDays = 400, timeZoneOffset = systemTimeZoneOffset } = options;
    this.#zero = zero;
    this.#maxDays = checkInteger("Cannot keep statistics", "maxDays", maxDays, 1, 36_500);
    this.#offset = timeZoneOffset;
    this.#booked = zero();
    this.#today = dayKey(nowMs, timeZoneOffset);
    this.#days.set(this.#today, zero());
  }

  /** The day on which is booked now, as `YYYY-MM-DD`. */
  get today(): string {
    return this.#today;
  }

  /** Days that are kept now. */
  get size(): number {
    return this.#days.size;
  }

  /**
   * Books what was added to `totals` since the last call, and enters the day of `nowMs`.
   *
   * @param nowMs Milliseconds since the epoch, as `Date.now()`
   * @param totals Counters that only grow; they are read, not kept
   */
  roll(nowMs: number, totals: Readonly<Counters>): void {
    const current = this.#days.get(this.#today);
    if (current !== undefined) {
      addCounters(current, totals);
      addCounters(current, this.#booked, -1);
    }
    this.#booked = { ...totals };
    const day = dayKey(nowMs, this.#offset);
    if (day === this.#today) return;
    this.#today = day;
    this.#frozen.delete(day);
    if (!this.#days.has(day)) this.#days.set(day, this.#zero());
    this.#dropOldest();
  }

  /**
   * Returns what was counted in a day, up to the last {@linkcode roll}. A day between the first and the last
   * one that are kept, in which the process did not run, counts 0.
   *
   * @param day As `YYYY-MM-DD`
   * @throws {StatsError} `ERR_NO_STATS_FOR_DAY` when nothing is known of that day
   */
  day(day: string): DayStats<Counters> {
    if (this.#days.has(day)) return this.#stats(day);
    return findDay(this.days(), day);
  }

  /** Returns all days that are kept, up to the last {@linkcode roll}, the oldest first. */
  days(): readonly DayStats<Counters>[] {
    return [...this.#days.keys()].sort().map((day) => this.#stats(day));
  }

  #stats(day: string): DayStats<Counters> {
    const known = this.#frozen.get(day);
    if (known !== undefined) return known;
    const counters = this.#days.get(day) ?? this.#zero();
    const stats = Object.freeze({ day, counters: Object.freeze({ ...counters }) });
    if (day !== this.#today) this.#frozen.set(day, stats);
    return stats;
  }

  #dropOldest(): void {
    while (this.#days.size > this.#maxDays) {
      let oldest: string | undefined;
      for (const day of this.#days.keys()) {
        // The day under way stays, even if the clock was set back to before all others.
        if (day !== this.#today && (oldest === undefined || day < oldest)) oldest = day;
      }
      if (oldest === undefined) return;
      this.#days.delete(oldest);
      this.#frozen.delete(oldest);
    }
  }
}

/**
 * Finds a day among days in order. A day between the first and the last one counts 0 when it is not listed.
 *
 * @throws {StatsError} `ERR_NO_STATS_FOR_DAY` when nothing is known of that day
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { StatsError } from "../../errors.ts";
 *
 * const days = [
 *   { day: "2026-11-21", counters: { messagesIn: 5 } },
 *   { day: "2026-11-23", counters: { messagesIn: 2 } },
 * ];
 * assertEquals(findDay(days, "2026-11-22").counters, { messagesIn: 0 });
 * assertThrows(() => findDay(days, "2026-11-20"), StatsError);
 * ```
 */
export function findDay<Counters extends NumericRecord<Counters>>(
  days: readonly DayStats<Counters>[],
  day: string,
): DayStats<Counters> {
  if (typeof day !== "string") {
    throw new TypeError(
      `Cannot give statistics: the day must be a text, current value is of type ${typeof day}`,
    );
  }
  const found = days.find((candidate) => candidate.day === day);
  if (found !== undefined) return found;
  const shown = JSON.stringify(day.slice(0, 32));
  if (!isDay(day)) {
    throw new StatsError(
      "ERR_NO_STATS_FOR_DAY",
      `Cannot give statistics: the day must be a calendar day such as "2026-11-21", current value is ${shown}`,
    );
  }
  const first = days[0];
  const last = days.at(-1);
  if (first === undefined || last === undefined || day < first.day || day > last.day) {
    const kept = first === undefined
      ? "no days"
      : `only the days from "${first.day}" to "${last?.day}"`;
    throw new StatsError(
      "ERR_NO_STATS_FOR_DAY",
      `Cannot give statistics: ${kept} are kept, current value is ${shown}`,
    );
  }
  const counters: Counters = { ...first.counters };
  addCounters(counters, first.counters, -1);
  return Object.freeze({ day, counters: Object.freeze(counters) });
}

/** Whether `text` is a day of the calendar, as `YYYY-MM-DD`. */
function isDay(text: string): boolean {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}
