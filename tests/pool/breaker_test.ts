// Tests of the circuit breaker of a backend.
import { assert, assertEquals } from "@std/assert";
import { Breaker } from "../../pool/breaker.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { until } from "./backends.ts";

/** Lets work fail; returns the time in ms until the next trial is due. */
async function restAfter(breaker: Breaker, fail: () => unknown): Promise<number> {
  const begin = Date.now();
  await fail();
  await until(() => breaker.isDue);
  return Date.now() - begin;
}

Deno.test("Breaker opens at its count of failures in a row, not below", async () => {
  let changes = 0;
  const breaker = new Breaker({ failures: 3, openMs: 10_000, maxOpenMs: 10_000 }, () => changes++);
  for (const ok of [false, false, true, false, false]) await breaker.record(ok);
  assertEquals([breaker.state, changes], ["closed", 0]);
  await breaker.record(false);
  assertEquals([breaker.state, breaker.isDue, breaker.opened, changes], ["open", false, 1, 1]);
  await breaker.record(true);
  await breaker.record(false);
  assertEquals(
    [breaker.state, breaker.opened],
    ["open", 1],
    "While it is open only a trial counts",
  );
});

Deno.test("Breaker closes after a trial that went well, and rests twice as long after each that failed", async () => {
  const breaker = new Breaker({ failures: 1, openMs: 20, maxOpenMs: 50 }, () => {});
  const rests = [await restAfter(breaker, () => breaker.record(false))];
  for (let i = 0; i < 3; i++) {
    const trial = breaker.begin();
    assertEquals([breaker.state, breaker.isDue], ["half-open", false]);
    rests.push(await restAfter(breaker, () => trial(false)));
  }
  for (const [i, least] of [20, 40, 50, 50].entries()) assert(rests[i]! >= least, `${rests}`);
  breaker.begin()(true);
  await until(() => breaker.state === "closed");
  await breaker.record(false);
  assertEquals([breaker.state, breaker.opened], ["open", 5]);
});

Deno.test("Breaker hears the first outcome of a trial only, and gives up one that takes half a minute", async () => {
  const breaker = new Breaker({ failures: 1, openMs: 20, maxOpenMs: 20 }, () => {});
  await restAfter(breaker, () => breaker.record(false));
  const trial = breaker.begin();
  trial(true);
  trial(false);
  await until(() => breaker.state === "closed");
  trial(false);
  assertEquals(breaker.opened, 1);

  await restAfter(breaker, () => breaker.record(false));
  const silent = breaker.begin();
  breaker.sweep();
  assertEquals(breaker.state, "half-open");
  const { now } = Date;
  try {
    Date.now = () => now() + 31_000;
    breaker.sweep();
    await until(() => breaker.state === "open");
    assertEquals(breaker.opened, 3);
    silent(true);
    await settle();
    assertEquals(breaker.state, "open", "Too late");
  } finally {
    Date.now = now;
  }
});
