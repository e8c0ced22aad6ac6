// RateLimits: own and shared buckets, turns and waits, bounded memory.
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { RateGate } from "../../limits/rate_gate.ts";
import { RateLimits, type RateLimitsOptions } from "../../limits/rate_limits.ts";

function gate(limits: RateLimits, source: string | null): RateGate {
  const made = limits.gate(source, 0);
  assert(made !== null);
  return made;
}

Deno.test("RateLimits.gate() is null where nothing is limited, so that it costs nothing", () => {
  assertEquals(new RateLimits().gate("192.0.2.7", 0), null);
  assertEquals(new RateLimits({ perSource: { messagesPerSecond: 1 } }).gate(null, 0), null);
});

Deno.test("RateGate.ask() lets a burst pass, and then the rate", () => {
  const connection = gate(
    new RateLimits({ perConnection: { messagesPerSecond: 100, burstMessages: 5 } }),
    null,
  );
  assertEquals([1, 2, 3, 4, 5, 6].map(() => connection.ask(0, 0)), [0, 0, 0, 0, 0, 10]);
  assertEquals([connection.ask(0, 9), connection.ask(0, 10), connection.ask(0, 10)], [1, 0, 10]);
});

Deno.test("RateGate.ask() waits for the slower one of messages and bytes", () => {
  const limits = new RateLimits({
    perConnection: {
      messagesPerSecond: 10,
      burstMessages: 1,
      bytesPerSecond: 1000,
      burstBytes: 100,
    },
  });
  const connection = gate(limits, null);
  assertEquals(connection.ask(100, 0), 0);
  assertEquals(connection.ask(50, 0), 100);
  assertEquals(connection.ask(50, 100), 0);
  // The burst is full again, of messages and of bytes.
  assertEquals(connection.ask(130, 100), 100);
});

Deno.test("RateGate.ask() counts nothing for a message that does not pass", () => {
  const limits = new RateLimits({ perSource: { messagesPerSecond: 10, burstMessages: 1 } });
  const [flooder, honest] = [gate(limits, "192.0.2.7"), gate(limits, "192.0.2.7")];
  assertEquals(flooder.ask(1, 0), 0);
  for (let count = 0; count < 1000; count++) assertEquals(flooder.ask(1, 0), 100);
  flooder.leave();
  assertEquals([honest.ask(1, 0), honest.ask(1, 100)], [100, 0]);
});

Deno.test("RateGate.ask() loses nothing of the rate when it is asked late each time", () => {
  const connection = gate(
    new RateLimits({ perConnection: { messagesPerSecond: 100, burstMessages: 1 } }),
    null,
  );
  let [nowMs, passed] = [0, 0];
  while (nowMs < 10_000) {
    const waitMs = connection.ask(1, nowMs);
    if (waitMs === 0) passed++;
    // As timers do.
    else nowMs += Math.ceil(waitMs) + 2;
  }
  assert(Math.abs(passed - 1000) <= 3, `${passed} messages in 10 s`);
});

Deno.test("RateLimits counts each connection by itself under perConnection", () => {
  const limits = new RateLimits({ perConnection: { messagesPerSecond: 1 } });
  const [one, other] = [gate(limits, "192.0.2.7"), gate(limits, "192.0.2.7")];
  assertEquals([one.ask(1, 0), other.ask(1, 0), one.ask(1, 0)], [0, 0, 1000]);
});

Deno.test("RateLimits counts all connections of a source together under perSource, loopback too", () => {
  for (const source of ["192.0.2.7", "127.0.0.1"]) {
    const limits = new RateLimits({ perSource: { messagesPerSecond: 2 } });
    const [one, other] = [gate(limits, source), gate(limits, source)];
    assertEquals([one.ask(1, 0), other.ask(1, 0), one.ask(1, 0)], [0, 0, 500]);
    assertEquals(gate(limits, "192.0.2.8").ask(1, 0), 0);
  }
});

Deno.test("RateLimits counts all connections together under perServer, those without a source too", () => {
  const limits = new RateLimits({ perServer: { messagesPerSecond: 2 } });
  const [one, other] = [gate(limits, "192.0.2.7"), gate(limits, null)];
  assertEquals([one.ask(1, 0), other.ask(1, 0), one.ask(1, 0)], [0, 0, 500]);
});

Deno.test("RateLimits gives no new burst to a source that connects anew", () => {
  const limits = new RateLimits({ perSource: { bytesPerSecond: 100 } });
  assertEquals(gate(limits, "192.0.2.7").ask(1100, 0), 0);
  assertEquals(limits.gate("192.0.2.7", 1000)?.ask(1, 1000), 9010);
});

/** Lets gates of one limit wait, and notes whose message passes at which moment. */
function queueOf(limits: RateLimits, sources: readonly (string | null)[]) {
  const passed: string[] = [];
  const due = new Map<string, number>();
  const gates = sources.map((source, index) => ({
    name: `${source}#${index}`,
    gate: gate(limits, source),
  }));
  let nowMs = 0;
  const start = (index: number, messages: number) => {
    const { name, gate } = gates[index]!;
    let left = messages;
    const next = () => {
      const waitMs = gate.ask(1, nowMs);
      if (waitMs > 0) return void due.set(name, nowMs + waitMs);
      due.delete(name);
      passed.push(`${nowMs} ${name}`);
      if (--left > 0) next();
    };
    gate.onTurn = () => queued.push(next);
    starts.set(name, next);
    next();
  };
  const queued: (() => void)[] = [];
  const starts = new Map<string, () => void>();
  const run = (untilMs: number) => {
    for (;;) {
      while (queued.length > 0) queued.shift()!();
      const at = Math.min(...due.values());
      if (at > untilMs) return;
      nowMs = at;
      for (const [name, dueMs] of [...due]) if (dueMs <= nowMs) starts.get(name)!();
    }
  };
  return { passed, start, run, gates };
}

Deno.test("RateLimits lets the connections of a source take turns, in the order in which they came", () => {
  const limits = new RateLimits({ perSource: { messagesPerSecond: 10, burstMessages: 1 } });
  const { passed, start, run } = queueOf(limits, ["a", "a", "a"]);
  start(0, 4);
  start(1, 2);
  start(2, 1);
  run(10_000);
  assertEquals(passed, ["0 a#0", "100 a#0", "200 a#1", "300 a#2", "400 a#0", "500 a#1", "600 a#0"]);
});

Deno.test("RateLimits lets the sources of a server take turns, however many connections each has", () => {
  const limits = new RateLimits({
    perSource: { messagesPerSecond: 1000, burstMessages: 100 },
    perServer: { messagesPerSecond: 10, burstMessages: 1 },
  });
  const { passed, start, run } = queueOf(limits, ["a", "a", "a", "b"]);
  for (let index = 0; index < 3; index++) start(index, 100);
  start(3, 3);
  run(1000);
  assertEquals(passed.filter((entry) => entry.includes("b#3")), ["200 b#3", "400 b#3", "600 b#3"]);
});

Deno.test("RateGate.leave() lets the next one have its turn", () => {
  const limits = new RateLimits({ perSource: { messagesPerSecond: 10, burstMessages: 1 } });
  const { passed, start, run, gates } = queueOf(limits, ["a", "a"]);
  start(0, 2);
  start(1, 1);
  gates[0]!.gate.leave();
  run(50);
  assertEquals(passed, ["0 a#0"]);
  run(100);
  assertEquals(passed, ["0 a#0", "100 a#1"]);
});

Deno.test("RateGate.restMs() tells how long what is left would take by itself", () => {
  const limits = new RateLimits({
    perConnection: { bytesPerSecond: 1000 },
    perServer: { messagesPerSecond: 10, burstMessages: 10 },
  });
  const connection = gate(limits, null);
  assertEquals([connection.restMs(10, 1000, 0), connection.restMs(20, 1000, 0)], [0, 1000]);
  assertEquals(connection.restMs(20, 10_000, 0), 9000);
});

Deno.test("RateLimits forgets the least recently used source above maxSources", () => {
  const limits = new RateLimits({ perSource: { messagesPerSecond: 1 }, maxSources: 2 });
  gate(limits, "a").ask(1, 0);
  gate(limits, "b").ask(1, 0);
  gate(limits, "a");
  gate(limits, "c").ask(1, 0);
  assertEquals(limits.sources, 2);
  assertEquals(gate(limits, "a").ask(1, 0), 1000);
  assertEquals(gate(limits, "b").ask(1, 0), 0);
});

Deno.test("RateLimits refuses rates and bursts out of range, by the name of the option", () => {
  const cases: [RateLimitsOptions, string][] = [
    [{ perConnection: { messagesPerSecond: 0 } }, `"perConnection.messagesPerSecond"`],
    [{ perConnection: { bytesPerSecond: Infinity } }, `"perConnection.bytesPerSecond"`],
    [{ perServer: { messagesPerSecond: NaN } }, `"perServer.messagesPerSecond"`],
    [{ perSource: { bytesPerSecond: -1 } }, `"perSource.bytesPerSecond"`],
    [{ perSource: { messagesPerSecond: 5, burstMessages: 0 } }, `"perSource.burstMessages"`],
    [{ perSource: { bytesPerSecond: 5, burstBytes: NaN } }, `"perSource.burstBytes"`],
    [{ maxSources: 0 }, `"maxSources"`],
  ];
  for (const [options, name] of cases) {
    assertThrows(() => new RateLimits(options), RangeError, name);
  }
  assertThrows(
    () => new RateLimits({ perSource: { burstBytes: 5 } }),
    TypeError,
    `needs "perSource.bytesPerSecond"`,
  );
});
