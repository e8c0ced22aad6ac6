// Tests of ClosingTimer: a timer of the platform for waits that last, and for no other.
import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { ClosingTimer } from "../../connection/closing_timer.ts";

/** Counts timers of the platform that are made during `work`. */
async function timersMadeBy(work: () => Promise<void>): Promise<number> {
  const { setTimeout } = globalThis;
  let made = 0;
  globalThis.setTimeout = ((...given: Parameters<typeof setTimeout>) => {
    made++;
    return setTimeout(...given);
  }) as typeof setTimeout;
  try {
    await work();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  return made;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

Deno.test("ClosingTimer makes no timer for a wait that ends within two turns", async () => {
  let called = 0;
  const made = await timersMadeBy(async () => {
    const timer = new ClosingTimer(1, () => called++);
    await turn();
    timer.cancel();
    for (let turns = 0; turns < 10; turns++) await turn();
  });
  assertEquals([made, called], [0, 0]);
});

Deno.test("ClosingTimer calls once for a wait that lasts, also one of no time", async () => {
  for (const delayMs of [0, 5]) {
    const made = await timersMadeBy(async () => {
      await new Promise<void>((resolve) => void new ClosingTimer(delayMs, resolve));
    });
    assertEquals(made, 1);
  }
});

Deno.test("ClosingTimer that is cancelled late leaves no timer behind", async () => {
  let called = 0;
  await timersMadeBy(async () => {
    const timer = new ClosingTimer(60_000, () => called++);
    for (let turns = 0; turns < 10; turns++) await turn();
    timer.cancel();
    timer.cancel();
  });
  assertEquals(called, 0);
});
