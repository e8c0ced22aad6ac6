// RateLimits: own and shared buckets, waiting and refusing, bounded memory.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type RateGate, RateLimits, type RateLimitsOptions } from "../../limits/rate_limits.ts";

function gate(limits: RateLimits, source: string | null): RateGate {
  const made = limits.gate(source, 0);
  assert(made !== null);
  return made;
}

Deno.test("RateLimits.gate() is null where nothing is limited, so that it costs nothing", () => {
  assertEquals(new RateLimits().gate("192.0.2.7", 0), null);
  assertEquals(new RateLimits({ perSource: { messagesPerSecond: 1 } }).gate(null, 0), null);
});

Deno.test("RateGate.take() waits for the slower one of messages and bytes", () => {
  const limits = new RateLimits({
    perConnection: { messagesPerSecond: 10, burstMessages: 1, bytesPerSecond: 1000, burstBytes: 100 },
  });
  const connection = gate(limits, null);
  assertEquals(connection.take(1, 100, 0), 0);
  assertEquals(connection.take(1, 50, 0), 100);
  assertEquals(connection.take(0, 100, 0), 150);
  assertEquals(connection.waitMs(149), 1);
  assertEquals(connection.waitMs(150), 0);
});

Deno.test("RateLimits counts each connection by itself under perConnection", () => {
  const limits = new RateLimits({ perConnection: { messagesPerSecond: 1 } });
  const [one, other] = [gate(limits, "192.0.2.7"), gate(limits, "192.0.2.7")];
  assertEquals([one.take(1, 1, 0), other.take(1, 1, 0), one.take(1, 1, 0)], [0, 0, 1000]);
});

Deno.test("RateLimits counts all connections of a source together under perSource, loopback too", () => {
  for (const source of ["192.0.2.7", "127.0.0.1"]) {
    const limits = new RateLimits({ perSource: { messagesPerSecond: 2 } });
    const [one, other] = [gate(limits, source), gate(limits, source)];
    assertEquals([one.take(1, 1, 0), other.take(1, 1, 0), one.take(1, 1, 0)], [0, 0, 500]);
    assertEquals(gate(limits, "192.0.2.8").take(1, 1, 0), 0);
  }
});

Deno.test("RateLimits gives no new burst to a source that connects anew", () => {
  const limits = new RateLimits({ perSource: { bytesPerSecond: 100 } });
  gate(limits, "192.0.2.7").take(1, 1100, 0);
  assertEquals(limits.gate("192.0.2.7", 1000)?.waitMs(1000), 9000);
});

Deno.test("RateGate.tryTake() counts in every bucket or in none", () => {
  const limits = new RateLimits({
    perConnection: { messagesPerSecond: 100, burstMessages: 10 },
    perSource: { bytesPerSecond: 100, burstBytes: 10 },
  });
  const connection = gate(limits, "192.0.2.7");
  assertEquals(connection.tryTake(1, 10, 0), true);
  for (let attempt = 0; attempt < 20; attempt++) assertEquals(connection.tryTake(1, 1, 0), false);
  // The refused ones took no messages: nine are left.
  for (let attempt = 0; attempt < 9; attempt++) assertEquals(connection.tryTake(1, 0, 0), true);
  assertEquals(connection.tryTake(1, 0, 0), false);
});

Deno.test("RateLimits forgets the least recently used source above maxSources", () => {
  const limits = new RateLimits({ perSource: { messagesPerSecond: 1 }, maxSources: 2 });
  gate(limits, "a").take(1, 1, 0);
  gate(limits, "b").take(1, 1, 0);
  gate(limits, "a");
  gate(limits, "c").take(1, 1, 0);
  assertEquals(limits.sources, 2);
  assertEquals(gate(limits, "a").take(1, 1, 0), 1000);
  assertEquals(gate(limits, "b").take(1, 1, 0), 0);
});

Deno.test("RateLimits refuses rates and bursts out of range, by the name of the option", () => {
  const cases: [RateLimitsOptions, string][] = [
    [{ perConnection: { messagesPerSecond: 0 } }, `"perConnection.messagesPerSecond"`],
    [{ perConnection: { bytesPerSecond: Infinity } }, `"perConnection.bytesPerSecond"`],
    [{ perSource: { bytesPerSecond: -1 } }, `"perSource.bytesPerSecond"`],
    [{ perSource: { messagesPerSecond: 5, burstMessages: 0 } }, `"perSource.burstMessages"`],
    [{ perSource: { bytesPerSecond: 5, burstBytes: NaN } }, `"perSource.burstBytes"`],
    [{ maxSources: 0 }, `"maxSources"`],
  ];
  for (const [options, name] of cases) assertThrows(() => new RateLimits(options), RangeError, name);
  assertThrows(
    () => new RateLimits({ perSource: { burstBytes: 5 } }),
    TypeError,
    `needs "perSource.bytesPerSecond"`,
  );
});
