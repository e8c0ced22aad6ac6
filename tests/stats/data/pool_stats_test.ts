// Tests of what a pool counts.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { askOnce, backendOf, poolOf } from "../../pool/backends.ts";

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
