// Tests of deadlines: what ends a wait, what becomes of work that is late, and that nothing stays behind.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { TimeoutError } from "@parley/parley";
import {
  DeadlineSignal,
  endsWithin,
  timeLeft,
  unlessAborted,
  withDeadline,
} from "../../async/deadline.ts";
import { pause } from "../../async/pause.ts";
import { watchWait } from "../../async/wait.ts";
import { settle, TestClock } from "../support/simulation/test_clock.ts";
import { watchedSignal } from "../support/watched_signal.ts";

const late = (ms: number) => new TimeoutError("ERR_CONNECT_TIMEOUT", `Not within ${ms} ms`);
const never = new Promise<never>(() => {});

Deno.test("watchWait ends a wait once: by its time, by its signal, or not at all when it has ended by itself", async () => {
  const clock = new TestClock();
  const table: [
    name: string,
    act: (watch: ReturnType<typeof watchedSignal>, stop: () => void) => unknown,
    reasons: unknown[],
  ][] = [
    ["below the time", () => clock.advance(99), []],
    ["at the time", () => clock.advance(100), ["late after 100"]],
    ["by the signal", ({ controller }) => controller.abort("enough"), ["enough"]],
    ["by itself", (_, stop) => (stop(), stop(), clock.advance(1000)), []],
    [
      "by the signal after the end",
      ({ controller }, stop) => (stop(), controller.abort("enough")),
      [],
    ],
  ];
  for (const [name, act, expected] of table) {
    const watched = watchedSignal();
    const reasons: unknown[] = [];
    const stop = watchWait({ signal: watched.signal, timeoutMs: 100 }, {
      clock,
      cancel: (reason) => reasons.push(reason),
      timeout: (ms) => `late after ${ms}`,
    });
    await act(watched, stop);
    await settle();
    assertEquals(reasons, expected, name);
    stop();
    assertEquals([watched.listeners, clock.pending], [0, 0], name);
  }
});

Deno.test("watchWait takes Infinity for no time limit, and gives no reason without a maker of one", async () => {
  const clock = new TestClock();
  const reasons: unknown[] = [];
  const hooks = { clock, cancel: (reason: unknown) => reasons.push(reason) };
  watchWait({ timeoutMs: Infinity }, hooks)();
  watchWait({}, hooks)();
  assertEquals(clock.pending, 0);
  watchWait({ timeoutMs: 5 }, hooks);
  await clock.advance(5);
  assertEquals(reasons, [undefined]);
});

Deno.test("pause ends after its time, or when its signal aborts, and leaves nothing", async () => {
  const clock = new TestClock();
  const watched = watchedSignal();
  let ended = 0;
  const pauses = [pause(10, watched.signal, { clock }), pause(20, watched.signal, { clock })];
  for (const each of pauses) void each.then(() => ended++);
  await clock.advance(9);
  assertEquals(ended, 0);
  await clock.advance(1);
  assertEquals([ended, watched.listeners], [1, 1]);
  watched.controller.abort();
  await settle();
  assertEquals([ended, clock.pending], [2, 0]);
  await pause(1e6, watched.signal);
  await pause(0);
});

Deno.test("withDeadline returns what the work makes in time, and throws what the work throws", async () => {
  const watched = watchedSignal();
  const options = { signal: watched.signal, timeoutMs: 60_000, late };
  assertEquals(await withDeadline(options, () => Promise.resolve(7)), 7);
  await assertRejects(
    () => withDeadline(options, () => Promise.reject(new Error("broken"))),
    Error,
    "broken",
  );
  assertEquals(watched.listeners, 0);
});

Deno.test("withDeadline throws at its deadline while the work goes on, and its signal aborts with the same", async () => {
  let signal: AbortSignal | undefined;
  const work = (given: AbortSignal) => (signal = given, never);
  const error = await assertRejects(
    () => withDeadline({ timeoutMs: 1, late }, work),
    TimeoutError,
    "Not within 1 ms",
  );
  assertEquals(signal?.reason, error);
  const watched = watchedSignal();
  const waiting = withDeadline({ signal: watched.signal, timeoutMs: 60_000, late }, work);
  const reason = new Error("enough");
  watched.controller.abort(reason);
  assertEquals(await waiting.catch((thrown) => thrown), reason);
  assertEquals(signal?.reason, reason);
  let began = false;
  const begin = () => Promise.resolve(began = true);
  await assertRejects(() => withDeadline({ signal: watched.signal, late }, begin), Error, "enough");
  assertEquals(began, false);
});

Deno.test("withDeadline discards what the work makes too late, and does not mind how late work fails", async () => {
  const made = Promise.withResolvers<string>();
  const discarded: string[] = [];
  const discard = (each: string) => void discarded.push(each);
  await assertRejects(
    () => withDeadline({ timeoutMs: 1, late, discard }, () => made.promise),
    TimeoutError,
  );
  made.resolve("a socket");
  await settle();
  assertEquals(discarded, ["a socket"]);
  const failing = Promise.withResolvers<string>();
  await assertRejects(
    () => withDeadline({ timeoutMs: 1, late, discard }, () => failing.promise),
    TimeoutError,
  );
  failing.reject(new Error("too late to matter"));
  await settle();
  assertEquals(discarded, ["a socket"]);
});

Deno.test("unlessAborted discards what comes after the abort, also when the abort came first or in the same moment", async () => {
  const table: [
    name: string,
    act: (abort: () => void, resolve: (value: number) => void) => void,
    outcome: unknown,
  ][] = [
    ["resolved", (_, resolve) => resolve(1), 1],
    ["aborted", (abort) => abort(), "enough"],
    [
      "resolved, and aborted before that was seen",
      (abort, resolve) => (resolve(1), abort()),
      "enough",
    ],
    ["aborted, then resolved", (abort, resolve) => (abort(), resolve(1)), "enough"],
  ];
  for (const [name, act, outcome] of table) {
    const watched = watchedSignal();
    const work = Promise.withResolvers<number>();
    const discarded: number[] = [];
    const result = unlessAborted(work.promise, watched.signal, (made) => discarded.push(made))
      .catch((
        error,
      ) => error);
    act(() => watched.controller.abort("enough"), work.resolve);
    assertEquals(await result, outcome, name);
    work.resolve(1);
    await settle();
    assertEquals([discarded, watched.listeners], [outcome === 1 ? [] : [1], 0], name);
  }
  const discarded: number[] = [];
  const dead = AbortSignal.abort("before");
  const result = unlessAborted(Promise.resolve(2), dead, (made) => discarded.push(made));
  assertEquals(await result.catch((error) => error), "before");
  assertEquals(discarded, [2]);
  assertEquals(await unlessAborted(Promise.resolve(3), undefined), 3);
});

Deno.test("DeadlineSignal aborts by its time or by the other signal, until it is stopped", async () => {
  const watched = watchedSignal();
  {
    using deadline = new DeadlineSignal({ signal: watched.signal, timeoutMs: 60_000, late });
    assertEquals([deadline.signal.aborted, watched.listeners], [false, 1]);
  }
  assertEquals(watched.listeners, 0);
  const stopped = new DeadlineSignal({ signal: watched.signal });
  stopped.stop();
  using linked = new DeadlineSignal({ signal: watched.signal });
  watched.controller.abort("enough");
  assertEquals([stopped.signal.aborted, linked.signal.reason], [false, "enough"]);
  using dead = new DeadlineSignal({ signal: watched.signal, timeoutMs: 60_000, late });
  assertEquals(dead.signal.reason, "enough");
  using timed = new DeadlineSignal({ timeoutMs: 1 });
  await new Promise((resolve) => timed.signal.addEventListener("abort", resolve, { once: true }));
  assertEquals(timed.signal.reason.name, "AbortError");
});

Deno.test("endsWithin says whether work was done in time, and rejects when it does", async () => {
  assertEquals(await endsWithin(Promise.resolve(), 60_000), true);
  assertEquals(await endsWithin(never, 1), false);
  await assertRejects(
    () => endsWithin(Promise.reject(new Error("broken")), 60_000),
    Error,
    "broken",
  );
});

Deno.test("timeLeft is whole and never less than 1", () => {
  const left = timeLeft(1000, performance.now());
  assert(Number.isInteger(left) && left > 0 && left <= 1000);
  assertEquals(timeLeft(5, performance.now() - 1000), 1);
});
