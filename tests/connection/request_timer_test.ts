// RequestTimer: what counts as a request, and how long it took.
import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { RequestTimer } from "../../connection/request_timer.ts";
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";

/** A timer, and what it has counted once the turn is over. */
function timed() {
  const histogram = new DurationHistogram();
  const timer = new RequestTimer(histogram);
  const count = async () => {
    await new Promise<void>((resolve) => setImmediate(resolve));
    return histogram.stats().count;
  };
  return { timer, count, histogram };
}

Deno.test("RequestTimer counts every message that was handed out before a send, once", async () => {
  const { timer, count } = timed();
  timer.arrived(30);
  for (const end of [10, 20, 30]) timer.taken(end);
  timer.sent();
  timer.sent();
  timer.returned();
  assertEquals(await count(), 3);
});

Deno.test("RequestTimer counts what is not answered when the handler returns, but not what it left to wait for more", async () => {
  const { timer, count } = timed();
  timer.arrived(10);
  timer.taken(10);
  timer.waits();
  timer.arrived(20);
  timer.taken(20);
  timer.returned();
  assertEquals(await count(), 1);
});

Deno.test("RequestTimer counts a message that the handler left to wait for more once it sends", async () => {
  const { timer, count } = timed();
  timer.arrived(10);
  timer.taken(10);
  timer.waits();
  assertEquals(await count(), 0);
  timer.sent();
  assertEquals(await count(), 1);
});

Deno.test("RequestTimer begins with the read that brought the last byte of a message, not with its handing out", async () => {
  const { timer, count, histogram } = timed();
  const { now } = performance;
  try {
    performance.now = () => 1000;
    timer.arrived(10);
    // What comes together shares one reading of the clock.
    await null;
    performance.now = () => 1005;
    timer.arrived(20);
    timer.taken(10);
    timer.sent();
    timer.taken(20);
    timer.sent();
    performance.now = () => 1006;
    assertEquals(await count(), 2);
  } finally {
    performance.now = now;
  }
  assertEquals(histogram.stats().sumMs, 7, "6 and 1");
});

Deno.test("RequestTimer keeps a bounded number of batches, and loses no message by it", async () => {
  const { timer, count } = timed();
  for (let end = 1; end <= 1000; end++) {
    timer.arrived(end);
    timer.taken(end);
    timer.waits();
  }
  timer.sent();
  assertEquals(await count(), 1000);
});

Deno.test("RequestTimer keeps a bounded number of reads when a message comes byte by byte", async () => {
  const { timer, count } = timed();
  for (let end = 1; end <= 100_000; end++) timer.arrived(end);
  timer.taken(100_000);
  timer.sent();
  assertEquals(await count(), 1);
});

Deno.test("RequestTimer takes the time of each request to its own answer where both are told", async () => {
  const { timer, count, histogram } = timed();
  const { now } = performance;
  try {
    timer.tellsApart();
    performance.now = () => 1000;
    timer.arrived(10);
    timer.taken(10);
    const first = timer.requested();
    await null;
    performance.now = () => 1100;
    timer.arrived(20);
    timer.taken(20);
    const second = timer.requested();
    timer.sent();
    timer.answered(second);
    performance.now = () => 1101;
    assertEquals(await count(), 1, "the first is under way");
    assertEquals(histogram.stats().sumMs, 1);
    timer.waits();
    timer.sent();
    timer.answered(first);
    performance.now = () => 1200;
    timer.returned();
    assertEquals(await count(), 2);
  } finally {
    performance.now = now;
  }
  assertEquals(histogram.stats().sumMs, 201);
});
