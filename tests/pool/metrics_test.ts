import { assert, assertEquals, assertThrows } from "@std/assert";
import { Pool, poolMetrics } from "@parley/parley/pool";
import { askOnce, backendOf, poolOf } from "./backends.ts";

Deno.test("stats are plain, frozen data", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend]);
  await askOnce(pool, "?");
  const stats = pool.stats();
  assertEquals(JSON.parse(JSON.stringify(stats)), stats);
  assertThrows(() => (stats.backends as unknown[]).push(1), TypeError);
  assertThrows(() => (stats.backends[0] as { leases: number }).leases = 7, TypeError);
  assertEquals([stats.backends[0]?.messagesIn, stats.backends[0]?.messagesOut], [1, 1]);
  assert(stats.backends[0]!.bytesIn > 0 && stats.backends[0]!.bytesOut > 0);
});

Deno.test("poolMetrics writes each family once, with its type, its samples and the end", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend]);
  await askOnce(pool, "?");
  const text = poolMetrics(pool.stats(), 'my "pool"\n\\');
  const families = new Map<string, { type: string; samples: number }>();
  let family = "";
  for (const line of text.split("\n").slice(0, -2)) {
    const [, kind, name, rest] = /^# (TYPE|HELP) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === "TYPE") {
      assert(!families.has(name!), `${name} comes twice`);
      families.set(family = name!, { type: rest!, samples: 0 });
    } else if (kind === "HELP") {
      assertEquals(name, family);
    } else {
      const sample = /^(\w+)\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (\d+)$/.exec(line);
      assert(sample !== null, `No sample: ${line}`);
      const { type } = families.get(family)!;
      assertEquals(sample[1], type === "counter" ? `${family}_total` : family);
      families.get(family)!.samples++;
    }
  }
  assert(text.endsWith("\n# EOF\n"));
  assert([...families.values()].every(({ samples }) => samples > 0));
  assertEquals(families.get("parley_pool_connections")?.samples, 4);
  const label = String.raw`pool="my \"pool\"\n\\"`;
  assert(text.includes(`parley_pool_acquires_total{${label}} 1`));
  assert(text.includes(`parley_pool_backend_leases_total{${label},backend="a"} 1`));
});

Deno.test("poolMetrics of a pool without backends is well-formed", async () => {
  await using pool = new Pool({ backends: [] });
  assert(poolMetrics(pool.stats(), "empty").includes('parley_pool_waiting{pool="empty"} 0'));
});
