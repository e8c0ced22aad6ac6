// ClosedLog: bounded in number and age, found by id, against a naive model.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ClosedLog } from "../../../stats/data/closed_log.ts";

Deno.test("ClosedLog keeps 10 000 entries by default, and the oldest goes first", () => {
  const log = new ClosedLog<number>();
  for (let number = 0; number < 10_000; number++) log.add(String(number), number, 0);
  assertEquals([log.size, log.get("0", 0)], [10_000, 0]);
  log.add("10000", 10_000, 0);
  assertEquals([log.size, log.get("0", 0), log.get("1", 0)], [10_000, undefined, 1]);
  assertEquals(log.list(0, 3), [10_000, 9_999, 9_998]);
});

Deno.test("ClosedLog drops entries after maxAgeMs, at, before and after it", () => {
  const log = new ClosedLog<string>({ maxAgeMs: 1_000 });
  log.add("a", "a", 0);
  log.add("b", "b", 500);
  assertEquals(log.get("a", 999), "a");
  assertEquals(log.get("a", 1_000), undefined);
  assertEquals(log.list(1_499), ["b"]);
  assertEquals([log.expire(1_500), log.size], [1, 0]);
});

Deno.test("ClosedLog finds the newer of two entries with one id, also when the older is dropped", () => {
  const log = new ClosedLog<string>({ maxEntries: 2 });
  log.add("a", "older", 0);
  log.add("a", "newer", 0);
  log.add("b", "b", 0);
  assertEquals([log.get("a", 0), log.list(0)], ["newer", ["b", "newer"]]);
});

Deno.test("ClosedLog keeps nothing with maxEntries 0", () => {
  const log = new ClosedLog<string>({ maxEntries: 0 });
  log.add("a", "a", 0);
  assertEquals([log.size, log.get("a", 0), log.list(0)], [0, undefined, []]);
});

Deno.test("ClosedLog stays quick and bounded through many connections", () => {
  const log = new ClosedLog<number>();
  const startedAt = performance.now();
  for (let number = 0; number < 300_000; number++) log.add(String(number), number, number);
  assertEquals(log.size, 10_000);
  assertEquals(log.get("299999", 300_000), 299_999);
  assert(performance.now() - startedAt < 10_000);
});

Deno.test("ClosedLog agrees with a list, through any history", () => {
  const step = fc.record({
    action: fc.constantFrom("add", "add", "get", "list", "expire"),
    id: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    restMs: fc.constantFrom(0, 1, 40, 100),
  });
  fc.assert(fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step), (maxEntries, steps) => {
    const log = new ClosedLog<number>({ maxEntries, maxAgeMs: 100 });
    let model: { id: string; value: number; atMs: number }[] = [];
    let nowMs = 0;
    for (const [value, { action, id, restMs }] of steps.entries()) {
      nowMs += restMs;
      if (action === "add") {
        log.add(id, value, nowMs);
        model.push({ id, value, atMs: nowMs });
      }
      model = model.filter(({ atMs }) => nowMs - atMs < 100).slice(-maxEntries);
      if (action === "get") {
        assertEquals(log.get(id, nowMs), model.findLast((entry) => entry.id === id)?.value);
      } else {
        assertEquals(log.list(nowMs), model.map((entry) => entry.value).reverse());
      }
      assertEquals(log.list(nowMs, 2), model.map((entry) => entry.value).reverse().slice(0, 2));
    }
  }));
});

Deno.test("ClosedLog refuses options out of range", () => {
  assertThrows(() => new ClosedLog({ maxEntries: -1 }), RangeError, `"maxEntries" must be 0 to`);
  assertThrows(() => new ClosedLog({ maxAgeMs: 0 }), RangeError, `"maxAgeMs" must be 1 to`);
});
