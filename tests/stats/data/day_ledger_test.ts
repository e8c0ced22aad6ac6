// DayLedger: local days, summer time, clocks that jump, days without traffic, and a naive model.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { StatsError } from "../../../errors.ts";
import { dayKey, DayLedger, findDay, type TimeZoneOffset } from "../../../stats/data/day_ledger.ts";

interface Counted {
  messages: number;
  bytes: number;
}

const zero = (): Counted => ({ messages: 0, bytes: 0 });
const utc: TimeZoneOffset = () => 0;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function at(day: string, time: string): number {
  return Date.parse(`${day}T${time}Z`);
}

/** Central European time in 2026: summer time from March 29th to October 25th, 01:00 UTC each. */
const berlin: TimeZoneOffset = (ms) =>
  ms >= at("2026-03-29", "01:00:00") && ms < at("2026-10-25", "01:00:00") ? 120 : 60;

Deno.test("dayKey() gives the day that the wall clock shows", () => {
  const cases: [string, string, number, string][] = [
    ["2026-11-21", "23:59:59", 0, "2026-11-21"],
    ["2026-11-22", "00:00:00", 0, "2026-11-22"],
    ["2026-11-21", "23:00:00", 60, "2026-11-22"],
    ["2026-11-21", "22:59:59", 60, "2026-11-21"],
    ["2026-11-22", "00:59:59", -60, "2026-11-21"],
    ["2026-12-31", "18:30:00", 330, "2027-01-01"],
    ["2024-02-29", "12:00:00", 0, "2024-02-29"],
    ["2026-11-21", "10:00:00", 840, "2026-11-22"],
  ];
  for (const [day, time, offset, key] of cases) {
    assertEquals(dayKey(at(day, time), () => offset), key);
  }
});

Deno.test("dayKey() uses the time zone of the system by default", () => {
  const now = new Date();
  const pad = (number: number) => String(number).padStart(2, "0");
  assertEquals(
    dayKey(now.getTime()),
    `${now.getFullYear()}-${pad(now.getMonth() + 1)}-${pad(now.getDate())}`,
  );
});

Deno.test("DayLedger books what is added to the totals on the day on which it was added", () => {
  const totals = zero();
  const ledger = new DayLedger(zero, at("2026-11-21", "12:00:00"), { timeZoneOffset: utc });
  totals.messages = 3;
  totals.bytes = 300;
  ledger.roll(at("2026-11-21", "13:00:00"), totals);
  assertEquals(ledger.day("2026-11-21").counters, { messages: 3, bytes: 300 });
  totals.messages = 5;
  ledger.roll(at("2026-11-22", "00:00:00"), totals);
  totals.bytes = 301;
  ledger.roll(at("2026-11-22", "10:00:00"), totals);
  assertEquals(ledger.days(), [
    { day: "2026-11-21", counters: { messages: 5, bytes: 300 } },
    { day: "2026-11-22", counters: { messages: 0, bytes: 1 } },
  ]);
  assertEquals(ledger.today, "2026-11-22");
});

Deno.test("DayLedger gives frozen data that later traffic does not change", () => {
  const totals = zero();
  const ledger = new DayLedger(zero, at("2026-11-21", "12:00:00"), { timeZoneOffset: utc });
  const before = ledger.day("2026-11-21");
  totals.messages = 7;
  ledger.roll(at("2026-11-21", "12:00:01"), totals);
  assertEquals(before.counters.messages, 0);
  assert(Object.isFrozen(before) && Object.isFrozen(before.counters));
  assertEquals(JSON.parse(JSON.stringify(ledger.days())), ledger.days());
});

Deno.test("DayLedger keeps an eye on summer time: its days have 23 and 25 hours", () => {
  const hoursOf = (day: string): number => {
    const totals = zero();
    const start = at(day, "00:00:00") - 30 * HOUR_MS;
    const ledger = new DayLedger(zero, start, { timeZoneOffset: berlin });
    for (let ms = start; ms < start + 80 * HOUR_MS; ms += HOUR_MS / 2) {
      ledger.roll(ms, totals);
      totals.messages++;
      ledger.roll(ms, totals);
    }
    return ledger.day(day).counters.messages / 2;
  };
  assertEquals(["2026-03-28", "2026-03-29", "2026-10-25", "2026-10-26"].map(hoursOf), [
    24,
    23,
    25,
    24,
  ]);
});

Deno.test("DayLedger goes back to a day when the clock is set back, and adds to it", () => {
  const totals = zero();
  const ledger = new DayLedger(zero, at("2026-11-21", "23:59:00"), { timeZoneOffset: utc });
  totals.messages = 1;
  ledger.roll(at("2026-11-22", "00:01:00"), totals);
  assertEquals(ledger.day("2026-11-21").counters.messages, 1);
  totals.messages = 3;
  ledger.roll(at("2026-11-21", "23:58:00"), totals);
  totals.messages = 7;
  ledger.roll(at("2026-11-22", "00:02:00"), totals);
  totals.messages = 15;
  ledger.roll(at("2026-11-22", "00:03:00"), totals);
  assertEquals(ledger.days().map(({ day, counters }) => [day, counters.messages]), [
    ["2026-11-21", 1 + 4],
    ["2026-11-22", 2 + 8],
  ]);
});

Deno.test("DayLedger counts 0 for a day through which the machine slept, and knows no other days", () => {
  const ledger = new DayLedger(zero, at("2026-02-27", "12:00:00"), { timeZoneOffset: utc });
  ledger.roll(at("2026-03-02", "12:00:00"), zero());
  assertEquals(ledger.day("2026-02-28"), { day: "2026-02-28", counters: zero() });
  assertEquals(ledger.day("2026-03-01"), { day: "2026-03-01", counters: zero() });
  for (const day of ["2026-02-26", "2026-03-03"]) {
    const error = assertThrows(() => ledger.day(day), StatsError);
    assertEquals(error.code, "ERR_NO_STATS_FOR_DAY");
    assertEquals(
      error.message,
      `Cannot give statistics: only the days from "2026-02-27" to "2026-03-02" are kept, current value is "${day}"`,
    );
  }
});

Deno.test("DayLedger.day() refuses what is no calendar day with ERR_NO_STATS_FOR_DAY", () => {
  const ledger = new DayLedger(zero, at("2026-02-27", "12:00:00"), { timeZoneOffset: utc });
  ledger.roll(at("2026-03-02", "12:00:00"), zero());
  const wrong = [
    "",
    "today",
    "2026-02-29",
    "2026-02-30",
    "2026-13-01",
    "2026-2-28",
    "2026-02-28T00:00",
    "x".repeat(999),
  ];
  for (const day of wrong) {
    const error = assertThrows(
      () => ledger.day(day),
      StatsError,
      `must be a calendar day such as "2026-11-21"`,
    );
    assertEquals(error.code, "ERR_NO_STATS_FOR_DAY");
    assert(error.message.length < 200);
  }
  // deno-lint-ignore no-explicit-any
  for (const day of [5, null, undefined] as any[]) assertThrows(() => ledger.day(day), TypeError);
});

Deno.test("findDay() knows no day among no days", () => {
  assertThrows(() => findDay<Counted>([], "2026-11-21"), StatsError, ": no days are kept");
});

Deno.test("DayLedger keeps 400 days, and the oldest goes first", () => {
  const start = at("2026-01-01", "12:00:00");
  const totals = zero();
  const ledger = new DayLedger(zero, start, { timeZoneOffset: utc });
  for (let day = 0; day < 401; day++) {
    ledger.roll(start + day * DAY_MS, totals);
    totals.messages++;
    if (day === 399) {
      assertEquals([ledger.size, ledger.day("2026-01-01").counters.messages], [400, 1]);
    }
  }
  assertEquals(ledger.size, 400);
  assertEquals(ledger.days().length, 400);
  assertThrows(() => ledger.day("2026-01-01"), StatsError);
  assertEquals(ledger.day("2026-01-02").counters.messages, 1);
});

Deno.test("DayLedger keeps the day under way though the clock was set back to before all others", () => {
  const totals = zero();
  const ledger = new DayLedger(zero, at("2026-06-01", "12:00:00"), {
    timeZoneOffset: utc,
    maxDays: 2,
  });
  ledger.roll(at("2026-06-02", "12:00:00"), totals);
  ledger.roll(at("2020-01-01", "12:00:00"), totals);
  totals.messages = 4;
  ledger.roll(at("2020-01-01", "12:00:01"), totals);
  assertEquals(ledger.days().map(({ day, counters }) => [day, counters.messages]), [[
    "2020-01-01",
    4,
  ], [
    "2026-06-02",
    0,
  ]]);
});

Deno.test("DayLedger neither loses nor doubles anything, whatever the clock does", () => {
  const step = fc.record({
    messages: fc.nat(5),
    bytes: fc.nat(1000),
    jumpMs: fc.oneof(
      fc.integer({ min: 0, max: 2 * HOUR_MS }),
      fc.integer({ min: -3 * DAY_MS, max: 3 * DAY_MS }),
    ),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    let nowMs = at("2026-10-24", "12:00:00");
    const totals = zero();
    const ledger = new DayLedger(zero, nowMs, { timeZoneOffset: berlin });
    const model = new Map<string, Counted>([[dayKey(nowMs, berlin), zero()]]);
    let bookedOn = dayKey(nowMs, berlin);
    for (const { messages, bytes, jumpMs } of steps) {
      totals.messages += messages;
      totals.bytes += bytes;
      const day = model.get(bookedOn) ?? zero();
      model.set(bookedOn, { messages: day.messages + messages, bytes: day.bytes + bytes });
      nowMs += jumpMs;
      ledger.roll(nowMs, totals);
      bookedOn = dayKey(nowMs, berlin);
      if (!model.has(bookedOn)) model.set(bookedOn, zero());
      assertEquals(ledger.today, bookedOn);
    }
    const expected = [...model].sort(([one], [other]) => one < other ? -1 : 1)
      .map(([day, counters]) => ({ day, counters }));
    assertEquals(ledger.days(), expected);
  }));
});

Deno.test("DayLedger refuses to keep no days", () => {
  assertThrows(() => new DayLedger(zero, 0, { maxDays: 0 }), RangeError, `"maxDays" must be 1 to`);
});
