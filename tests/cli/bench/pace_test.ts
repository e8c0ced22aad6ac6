// Tests of the pace of `parley bench`: when each message is due.
import { assertEquals } from "@std/assert";
import { ClosedPace, OpenPace } from "../../../cli/commands/bench/pace.ts";

const plan = { beginMs: 1000, measureMs: 2000, endMs: 3000, maxRequests: Infinity };

Deno.test("OpenPace lets each request go when it is due, connections in turn, and not after the end", () => {
  const pace = new OpenPace(plan, 10, 3); // one each 100 ms: connection 0, 1, 2, 0 and so on
  const due = (nowMs: number) => [0, 1, 2].map((connection) => pace.due(connection, nowMs));
  assertEquals(due(999), [0, 0, 0]);
  assertEquals(due(1000), [1, 0, 0]);
  assertEquals(due(1199), [1, 1, 0]);
  assertEquals(due(1200), [1, 1, 1]);
  assertEquals(due(9999), [7, 7, 6], "20 in two seconds");
  assertEquals(pace.grant(0, 1, 100, 1650), 2);
  assertEquals(pace.grant(0, 1, 1, 1650), 1, "no more than there is room for");
  assertEquals(pace.grant(0, 0, 100, 3001), 0, "nothing is sent after the end");
  assertEquals(
    [pace.isOver(2999), pace.isOver(3000)],
    [false, true],
    "measured for as long as was asked",
  );
  assertEquals([pace.startOf(0, 0), pace.startOf(1, 0), pace.startOf(0, 2)], [1000, 1100, 1600]);
  assertEquals([pace.nextMs(1000), pace.nextMs(1250), pace.nextMs(2950)], [1100, 1300, Infinity]);
});

Deno.test("OpenPace counts the bound in requests from the measurement on", () => {
  const pace = new OpenPace({ ...plan, maxRequests: 3 }, 10, 1);
  assertEquals(pace.due(0, 2999), 13);
  assertEquals([pace.isOver(2150), pace.isOver(2200)], [false, true]);
});

Deno.test("ClosedPace grants what there is room for until the bound in requests, or the end", () => {
  const pace = new ClosedPace({ ...plan, maxRequests: 5 });
  assertEquals(pace.grant(0, 0, 8, 1999), 8, "the warm-up is not bounded");
  assertEquals(pace.grant(0, 8, 4, 2000), 4);
  assertEquals(pace.isOver(2000), false);
  assertEquals(pace.grant(0, 12, 4, 2000), 1);
  assertEquals(pace.isOver(2000), true);
  assertEquals(new ClosedPace(plan).grant(0, 0, 1, 3000), 0);
});
