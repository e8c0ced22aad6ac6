// Tests of the latencies of `parley bench`: quantiles, correction, histogram.
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { Latencies } from "../../../cli/commands/bench/latencies.ts";
import { span } from "../../../cli/commands/bench/report.ts";

Deno.test("Latencies tells percentiles within three digits, from a microsecond to an hour", () => {
  const latencies = new Latencies();
  for (let i = 1; i <= 1000; i++) latencies.add(i / 100, 1);
  latencies.add(3600e3, 1);
  latencies.add(1e9, 1); // longer than is told apart
  const summary = latencies.summary();
  assert(summary !== null);
  assertAlmostEquals(summary.p50, 5.01, 0.01);
  assertAlmostEquals(summary.p90, 9.02, 0.02);
  assertAlmostEquals(summary.p99, 9.92, 0.02);
  assertAlmostEquals(summary.p99_9, 3600e3, 3600);
  assertEquals(latencies.count, 1002);
  assertEquals(new Latencies().summary(), null);
});

Deno.test("Latencies corrected adds what a stall held back", () => {
  const latencies = new Latencies();
  latencies.add(1, 99_999);
  latencies.add(1000, 1); // in which a thousand requests would have been sent
  const corrected = latencies.corrected(1);
  assertEquals(corrected.count, 100_000 + 999);
  assertEquals(latencies.summary()?.p99_9, 1);
  assert(corrected.summary()!.p99_9 > 850, "one in a hundred requests would have met the stall");
});

Deno.test("Latencies rows hold every latency once, from the shortest to the longest", () => {
  const latencies = new Latencies();
  latencies.add(0.15, 3);
  latencies.add(0.9, 2);
  latencies.add(4, 1);
  assertEquals(latencies.rows(), [
    { upToMs: 0.2, count: 3 },
    { upToMs: 0.5, count: 0 },
    { upToMs: 1, count: 2 },
    { upToMs: 2, count: 0 },
    { upToMs: 5, count: 1 },
  ]);
  assertEquals(new Latencies().rows(), []);
});

Deno.test("span() has a unit that fits", () => {
  assertEquals([0.0871, 1.236, 45.67, 456.7, 2050].map(span), [
    "87 µs",
    "1.24 ms",
    "45.7 ms",
    "457 ms",
    "2.05 s",
  ]);
  assertEquals(span(undefined), "-");
});
