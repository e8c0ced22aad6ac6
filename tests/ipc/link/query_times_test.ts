// Tests of the times of queries: what is counted when, and once.
import { assertEquals } from "@std/assert";
import { QueryTimes } from "../../../ipc/link/query_times.ts";

Deno.test("QueryTimes counts what is answered at once when all that came with it was taken", () => {
  const times = new QueryTimes();
  const { histogram } = times;
  times.taken();
  times.came(1);
  times.answered(1);
  times.answered(1);
  times.came(2); // given up at once
  times.forget(2);
  times.answered(2);
  assertEquals(histogram.stats().count, 0);
  times.taken();
  assertEquals(histogram.stats().count, 1);
  times.taken();
  assertEquals(histogram.stats().count, 1);
});

Deno.test("QueryTimes counts what is answered later when it is answered", () => {
  const times = new QueryTimes();
  const { histogram } = times;
  for (const id of [1, 2, 3]) times.came(id);
  times.answered(2);
  assertEquals(histogram.stats().count, 1);
  times.taken();
  times.came(4);
  times.answered(4);
  times.answered(3);
  times.forget(1);
  times.answered(1);
  assertEquals(histogram.stats().count, 2);
  times.taken();
  assertEquals(histogram.stats().count, 3);
});

Deno.test("QueryTimes counts many that came together before the last of them", () => {
  const times = new QueryTimes();
  for (let id = 1; id <= 40; id++) {
    times.came(id);
    times.answered(id);
  }
  assertEquals(times.histogram.stats().count, 32);
  times.taken();
  assertEquals(times.histogram.stats().count, 40);
});
