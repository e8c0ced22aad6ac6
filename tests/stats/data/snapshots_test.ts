// Snapshots: plain frozen data, and the counters behind them.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { StatsError } from "../../../errors.ts";
import { addCounters, newClientCounters, newServerCounters } from "../../../stats/data/counters.ts";
import { freezeDeep, statsOfDay } from "../../../stats/data/snapshots.ts";

Deno.test("newServerCounters() and newClientCounters() hold the traffic counters, all 0, each its own object", () => {
  for (const make of [newServerCounters, newClientCounters]) {
    const counters = make();
    assertEquals(new Set(Object.values(counters)), new Set([0]));
    for (const name of ["bytesIn", "bytesOut", "messagesIn", "messagesOut"]) {
      assert(name in counters);
    }
    counters.messagesIn++;
    assertEquals(make().messagesIn, 0);
  }
});

Deno.test("addCounters() adds and takes away each member", () => {
  const sum = { a: 1, b: 10 };
  addCounters(sum, { a: 2, b: 20 });
  assertEquals(sum, { a: 3, b: 30 });
  addCounters(sum, { a: 1, b: 1 }, -1);
  assertEquals(sum, { a: 2, b: 29 });
});

Deno.test("statsOfDay() finds a day of a snapshot, counts 0 for a gap, and refuses other days", () => {
  const stats = {
    days: [
      { day: "2026-11-20", counters: { messagesIn: 1 } },
      { day: "2026-11-22", counters: { messagesIn: 2 } },
    ],
  };
  assertEquals(statsOfDay(stats, "2026-11-22"), { messagesIn: 2 });
  assertEquals(statsOfDay(stats, "2026-11-21"), { messagesIn: 0 });
  assertThrows(() => statsOfDay(stats, "2026-11-23"), StatsError);
  assertEquals(stats.days[0]?.counters.messagesIn, 1);
});

Deno.test("freezeDeep() freezes all levels, and gives the same data back", () => {
  const data = { list: [{ inner: { value: 1 } }], nothing: null, text: "x" };
  const frozen = freezeDeep(data);
  assertEquals(frozen, { list: [{ inner: { value: 1 } }], nothing: null, text: "x" });
  assert(Object.isFrozen(frozen) && Object.isFrozen(frozen.list));
  assert(Object.isFrozen(frozen.list[0]) && Object.isFrozen(frozen.list[0]?.inner));
});
