// Tests of deadlines: each piece of work has its time, and one timer is enough for all.
import { assertEquals } from "@std/assert";
import { Deadlines } from "../../accept/deadlines.ts";
import { until } from "../support/wait.ts";

Deno.test("Deadlines calls for each piece of work whose time is over, in order, and for no other", async () => {
  const late: string[] = [];
  const deadlines = new Deadlines<string>(20, (work) => late.push(work));
  const nowMs = performance.now();
  for (const work of ["one", "two", "three"]) deadlines.add(work, nowMs);
  deadlines.delete("two");
  assertEquals(deadlines.works, ["one", "three"]);
  await until("both are late", () => late.length === 2);
  assertEquals([late, deadlines.works], [["one", "three"], []]);
});

Deno.test("Deadlines gives work that begins later its whole time", async () => {
  const lateAtMs = new Map<string, number>();
  const deadlines = new Deadlines<string>(60, (work) => lateAtMs.set(work, performance.now()));
  const began = performance.now();
  deadlines.add("early", began);
  const second = began + 30;
  deadlines.add("later", second);
  await until("both are late", () => lateAtMs.size === 2);
  // Timers of the platform count whole milliseconds.
  assertEquals([lateAtMs.get("early")! - began >= 59, lateAtMs.get("later")! - second >= 59], [
    true,
    true,
  ]);
});

Deno.test("Deadlines makes one timer for work of one moment, and leaves none behind", () => {
  let made = 0;
  const { setTimeout } = globalThis;
  globalThis.setTimeout = ((...given: Parameters<typeof setTimeout>) => {
    made++;
    return setTimeout(...given);
  }) as typeof setTimeout;
  try {
    const deadlines = new Deadlines<number>(60_000, () => {});
    for (let work = 0; work < 100; work++) deadlines.add(work, performance.now());
    for (let work = 0; work < 100; work++) deadlines.delete(work);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assertEquals(made, 1);
});
