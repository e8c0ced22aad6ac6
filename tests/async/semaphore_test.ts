// Tests of semaphores and of waits for one thing: in order, bounded, and nothing stays behind.
import { assertEquals, assertRejects } from "@std/assert";
import { TimeoutError } from "@parley/parley";
import { Semaphore } from "../../async/semaphore.ts";
import { Waiters } from "../../async/waiters.ts";
import { watchedSignal } from "../support/watched_signal.ts";

const never = new AbortController().signal;

Deno.test("Semaphore gives turns in the order in which they were asked for, and no more than its limit", async () => {
  const turns = new Semaphore(2);
  assertEquals([turns.tryAcquire(), turns.tryAcquire(), turns.tryAcquire()], [true, true, false]);
  const order: string[] = [];
  const waits = ["a", "b", "c"].map(async (name) => {
    if (await turns.acquire(10_000, never)) order.push(name);
  });
  turns.release();
  // A turn that others wait for is not taken from them.
  assertEquals(turns.tryAcquire(), false);
  await waits[0];
  assertEquals(order, ["a"]);
  turns.limit = 4;
  await Promise.all(waits);
  assertEquals(order, ["a", "b", "c"]);
  for (let count = 0; count < 4; count++) turns.release();
  assertEquals(turns.isIdle, true);
});

Deno.test("Semaphore loses no turn to one who has left, by time or by signal", async () => {
  const turns = new Semaphore(1);
  turns.tryAcquire();
  const controller = new AbortController();
  const byTime = turns.acquire(1, never);
  const bySignal = turns.acquire(10_000, controller.signal);
  assertEquals(await byTime, false);
  const staying = turns.acquire(10_000, never);
  controller.abort();
  turns.release();
  assertEquals([await bySignal, await staying], [false, true]);
  assertEquals(await turns.acquire(1, AbortSignal.abort()), false);
  turns.release();
  assertEquals(turns.isIdle, true);
});

Deno.test("Semaphore lends a turn until it is disposed of, and throws the reason of a signal that aborts before", async () => {
  const turns = new Semaphore(1);
  const controller = new AbortController();
  const held = await turns.hold(controller.signal);
  const next = turns.hold(never);
  const leaving = assertRejects(() => turns.hold(controller.signal), Error, "enough");
  controller.abort(new Error("enough"));
  await leaving;
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  const second = await next;
  assertEquals(turns.tryAcquire(), false);
  second[Symbol.dispose]();
  assertEquals(turns.isIdle, true);
  await assertRejects(() => turns.hold(controller.signal), Error, "enough");
});

Deno.test("Waiters ends all waits with a value or an error, and each by its own time and signal", async () => {
  const waiters = new Waiters<number>();
  const late = (ms: number) => new TimeoutError("ERR_CONNECT_TIMEOUT", `none in ${ms} ms`);
  const watched = watchedSignal();
  const { signal } = watched;
  const waits = [waiters.wait({}, late), waiters.wait({ signal, timeoutMs: 60_000 }, late)];
  await assertRejects(() => waiters.wait({ timeoutMs: 1 }, late), TimeoutError, "none in 1 ms");
  assertEquals([waiters.size, watched.listeners], [2, 1]);
  waiters.resolve(5);
  assertEquals(await Promise.all(waits), [5, 5]);
  assertEquals([waiters.size, watched.listeners], [0, 0]);
  const failing = assertRejects(() => waiters.wait({}, late), Error, "over");
  waiters.reject(new Error("over"));
  await failing;
  const stopped = assertRejects(() => waiters.wait({ signal }, late), Error, "enough");
  watched.controller.abort(new Error("enough"));
  await stopped;
  assertEquals(waiters.size, 0);
});
