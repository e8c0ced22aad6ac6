// Tests of waitAtMost().
import { assertEquals } from "@std/assert";
import { waitAtMost } from "../../async/wait_at_most.ts";
import { TestClock } from "../support/simulation/test_clock.ts";

Deno.test("waitAtMost returns whether the work has settled in time, however it ended, and leaves no timer", async () => {
  const clock = new TestClock();
  assertEquals(await waitAtMost(clock, 10, Promise.resolve()), true);
  assertEquals(await waitAtMost(clock, 10, Promise.reject(new Error("oh no"))), true);
  const waiting = waitAtMost(clock, 10, new Promise(() => {}));
  await clock.advance(9);
  assertEquals(clock.pending, 1);
  await clock.advance(1);
  assertEquals([await waiting, clock.pending], [false, 0]);
});
