// Tests of AttemptQueue: in order, each by its own time and signal, and nothing stays behind.
import { assertEquals, assertRejects } from "@std/assert";
import { AttemptQueue } from "../../async/attempt_queue.ts";
import { TestClock } from "../support/simulation/test_clock.ts";

Deno.test("AttemptQueue lets callers try in their order, and stops at the first that must go on waiting", async () => {
  const clock = new TestClock();
  const queue = new AttemptQueue();
  const got: string[] = [];
  let left = 0;
  const timeout = () => new Error("late");
  const waits = ["a", "b", "c"].map(async (name) => {
    const attempt = () => left-- > 0 ? name : undefined;
    got.push(await queue.wait({}, { clock, attempt, timeout }));
  });
  left = 2;
  queue.wakeAll();
  await Promise.all(waits.slice(0, 2));
  assertEquals([got, queue.isEmpty], [["a", "b"], false]);
  left = 1;
  queue.wakeFirst();
  await waits[2];
  assertEquals([got, queue.isEmpty], [["a", "b", "c"], true]);
});

Deno.test("AttemptQueue ends a wait by its time, its signal, and what its attempt throws", async () => {
  const clock = new TestClock();
  const queue = new AttemptQueue();
  const timeout = (ms: number) => new Error(`late after ${ms} ms`);
  const never = { clock, attempt: () => undefined, timeout };
  const late = assertRejects(() => queue.wait({ timeoutMs: 5 }, never), Error, "late after 5 ms");
  const controller = new AbortController();
  const aborted = assertRejects(
    () => queue.wait({ signal: controller.signal }, never),
    Error,
    "enough",
  );
  await clock.advance(5);
  await late;
  controller.abort(new Error("enough"));
  await aborted;
  assertEquals([queue.isEmpty, clock.pending], [true, 0]);
  const attempt = () => {
    throw new Error("over");
  };
  const thrown = assertRejects(() => queue.wait({}, { clock, attempt, timeout }), Error, "over");
  queue.wakeAll();
  await thrown;
  assertEquals(queue.isEmpty, true);
});
