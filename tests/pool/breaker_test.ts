import { assertEquals } from "@std/assert";
import { Breaker } from "../../pool/breaker.ts";
import { until } from "./backends.ts";

/** The time that a circuit rests, in ms. */
async function restOf(breaker: Breaker): Promise<number> {
  const begin = performance.now();
  await until(() => breaker.isDue);
  return performance.now() - begin;
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
  assertEquals([breaker.state, breaker.opened], ["open", 1], "While it is open only a trial counts");
});

Deno.test("Breaker closes after a trial that went well, and rests twice as long after each that failed", async () => {
  const breaker = new Breaker({ failures: 1, openMs: 20, maxOpenMs: 50 }, () => {});
  await breaker.record(false);
  const rests: number[] = [];
  for (let i = 0; i < 3; i++) {
    rests.push(await restOf(breaker));
    const trial = breaker.begin();
    assertEquals([breaker.state, breaker.isDue], ["half-open", false]);
    trial(false);
    await until(() => breaker.state === "open");
  }
  for (const [i, least] of [19, 39, 49].entries()) assertEquals(rests[i]! >= least, true, `${rests}`);
  await restOf(breaker);
  breaker.begin()(true);
  await until(() => breaker.state === "closed");
  await breaker.record(false);
  assertEquals([breaker.state, breaker.opened], ["open", 5]);
});
