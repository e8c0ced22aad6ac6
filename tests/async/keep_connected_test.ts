// Tests of the reconnect loop: what ends it, which delays it waits, and what becomes of a link that
// comes up too late.
import { assertEquals } from "@std/assert";
import { Backoff, type ReconnectOptions } from "../../async/backoff.ts";
import {
  type ConnectFailure,
  keepConnected,
  type KeepConnectedOptions,
  type LinkEnd,
  type LoopEnd,
  type Retry,
} from "../../async/keep_connected.ts";
import { settle, TestClock } from "../support/simulation/test_clock.ts";
import { watchedSignal } from "../support/watched_signal.ts";

const REFUSED = new Error("refused");
const LOST = new Error("lost");

/** A loop over links that the test makes, loses and refuses, under a clock that it advances. */
class Bed {
  readonly clock = new TestClock();
  readonly watched = watchedSignal();
  readonly retries: Retry[] = [];
  readonly failures: ConnectFailure[] = [];
  readonly discarded: string[] = [];
  readonly used: string[] = [];
  dials: PromiseWithResolvers<string>[] = [];
  ends: PromiseWithResolvers<LinkEnd>[] = [];
  end: LoopEnd | undefined;

  /** Delays are the bounds' middle: 150, 250, 450 … ms. */
  run(backoff: ReconnectOptions | null, options: Partial<KeepConnectedOptions<string>> = {}): void {
    void keepConnected<string>({
      signal: this.watched.signal,
      backoff: backoff === null ? null : new Backoff(backoff),
      connect: () => (this.dials.push(Promise.withResolvers()), this.dials.at(-1)!.promise),
      discard: (link) => this.discarded.push(link),
      use: (link) => {
        this.used.push(link);
        this.ends.push(Promise.withResolvers());
        return this.ends.at(-1)!.promise;
      },
      classify: (failure) => {
        this.failures.push(failure);
        return { error: failure.error ?? LOST, isPermanent: false };
      },
      onRetry: (retry) => this.retries.push(retry),
      clock: this.clock,
      random: () => 0.5,
      ...options,
    }).then((end) => this.end = end);
  }

  async refuse(error: unknown = REFUSED): Promise<void> {
    this.dials.at(-1)!.reject(error);
    await settle();
  }

  async link(name = "link"): Promise<void> {
    this.dials.at(-1)!.resolve(name);
    await settle();
  }

  async lose(end: Partial<LinkEnd> = {}): Promise<void> {
    this.ends.at(-1)!.resolve({ error: LOST, wasUsed: false, ...end });
    await settle();
  }

  /** Delays that were announced so far. */
  get delays(): number[] {
    return this.retries.map(({ delayMs }) => delayMs);
  }

  /** That the loop is over, with this, and holds nothing. */
  assertEnd(end: LoopEnd): void {
    assertEquals(this.end, end);
    assertEquals([this.watched.listeners, this.clock.pending], [0, 0]);
  }
}

Deno.test("keepConnected dials one at a time, each after the delay that it has announced", async () => {
  const bed = new Bed();
  bed.run({});
  for (const [i, delayMs] of [150, 250, 450].entries()) {
    await bed.refuse();
    assertEquals(bed.retries.at(-1), { attempt: i + 1, delayMs, error: REFUSED });
    await bed.clock.advance(delayMs - 1);
    assertEquals(bed.dials.length, i + 1);
    await bed.clock.advance(1);
    assertEquals(bed.dials.length, i + 2);
  }
  assertEquals(bed.failures, Array(3).fill({ phase: "connect", isFirst: true, error: REFUSED }));
  await bed.link();
  await bed.lose({ error: null });
  assertEquals(bed.failures.at(-1), { phase: "link", isFirst: false, error: null });
  assertEquals(bed.retries.at(-1)?.error, LOST);
  await bed.clock.advance(10_000);
  await bed.refuse();
  assertEquals(bed.failures.at(-1), { phase: "connect", isFirst: false, error: REFUSED });
});

Deno.test("keepConnected starts delays over after a link that was of use or lasted, and only then", async () => {
  const table: [name: string, livedMs: number, end: Partial<LinkEnd>, delayMs: number][] = [
    ["a link that died at once", 0, {}, 450],
    ["a link that did not last", 4999, {}, 450],
    ["a link that lasted", 5000, {}, 150],
    ["a link that was of use", 0, { wasUsed: true }, 150],
  ];
  for (const [name, livedMs, end, delayMs] of table) {
    const bed = new Bed();
    bed.run({});
    for (const ms of [150, 250]) {
      await bed.refuse();
      await bed.clock.advance(ms);
    }
    await bed.link();
    await bed.clock.advance(livedMs);
    await bed.lose(end);
    assertEquals(bed.delays, [150, 250, delayMs], name);
  }
});

Deno.test("keepConnected gives up after maxAttempts in a row, and any link starts that count over", async () => {
  const bed = new Bed();
  bed.run({ minDelayMs: 1, maxDelayMs: 1, maxAttempts: 1 });
  for (let round = 0; round < 3; round++) {
    await bed.link();
    await bed.lose();
    await bed.clock.advance(1);
  }
  assertEquals(bed.end, undefined);
  await bed.refuse();
  bed.assertEnd({ kind: "gaveUp", error: REFUSED });
});

Deno.test("keepConnected without countsLinks gives up although links come up in between", async () => {
  const bed = new Bed();
  bed.run({ minDelayMs: 1, maxDelayMs: 1, maxAttempts: 1 }, { countsLinks: false });
  await bed.link();
  await bed.lose();
  await bed.clock.advance(1);
  await bed.link();
  await bed.lose();
  bed.assertEnd({ kind: "gaveUp", error: LOST });
});

Deno.test("keepConnected without a backoff ends with the first failure as it came", async () => {
  const refused = new Bed();
  refused.run(null);
  await refused.refuse();
  refused.assertEnd({ kind: "notRetried", error: REFUSED });
  const ended = new Bed();
  ended.run(null);
  await ended.link();
  await ended.lose({ error: null });
  ended.assertEnd({ kind: "notRetried", error: null });
  assertEquals(ended.failures, []);
});

Deno.test("keepConnected ends with a permanent failure, of an attempt or of a link, and announces no retry", async () => {
  const classify = ({ error }: ConnectFailure) => ({ error, isPermanent: error === LOST });
  const dialled = new Bed();
  dialled.run({}, { classify });
  await dialled.refuse(LOST);
  dialled.assertEnd({ kind: "gaveUp", error: LOST });
  const linked = new Bed();
  linked.run({}, { classify });
  await linked.link();
  await linked.lose();
  linked.assertEnd({ kind: "gaveUp", error: LOST });
  assertEquals([dialled.retries, linked.retries], [[], []]);
});

Deno.test("keepConnected waits the delay of a verdict in place of the backoff's, which does not count that failure", async () => {
  const bed = new Bed();
  bed.run({ maxAttempts: 1 }, {
    classify: ({ error }) => ({ error, isPermanent: false, ...error === LOST && { delayMs: 50 } }),
  });
  for (let round = 0; round < 3; round++) {
    await bed.refuse(LOST);
    await bed.clock.advance(50);
  }
  await bed.refuse();
  assertEquals(bed.delays, [50, 50, 50, 150]);
});

Deno.test("keepConnected takes delays of their own before the first link, also where a lost one is not replaced", async () => {
  const firstBackoff = new Backoff({ minDelayMs: 7, maxDelayMs: 7 });
  const bed = new Bed();
  bed.run(null, { firstBackoff });
  for (let round = 0; round < 3; round++) {
    await bed.refuse();
    await bed.clock.advance(7);
  }
  assertEquals(bed.delays, [7, 7, 7]);
  await bed.link();
  await bed.lose();
  bed.assertEnd({ kind: "notRetried", error: LOST });
  const again = new Bed();
  again.run({ minDelayMs: 100 }, { firstBackoff });
  await again.refuse();
  await again.clock.advance(7);
  await again.link();
  await again.lose();
  assertEquals(again.delays, [7, 150]);
});

Deno.test("keepConnected ends when its signal aborts: at once in a pause, and with the attempt that is under way", async () => {
  const before = new Bed();
  before.watched.controller.abort("enough");
  before.run({});
  await settle();
  before.assertEnd({ kind: "aborted", error: undefined });
  assertEquals(before.dials.length, 0);

  const pausing = new Bed();
  pausing.run({});
  await pausing.refuse();
  pausing.watched.controller.abort("enough");
  await settle();
  pausing.assertEnd({ kind: "aborted", error: REFUSED });

  const dialling = new Bed();
  dialling.run({});
  dialling.watched.controller.abort("enough");
  await settle();
  assertEquals(dialling.end, undefined);
  await dialling.refuse("enough");
  dialling.assertEnd({ kind: "aborted", error: "enough" });

  const linked = new Bed();
  linked.run({});
  await linked.link();
  linked.watched.controller.abort("enough");
  await settle();
  assertEquals(linked.end, undefined);
  await linked.lose();
  linked.assertEnd({ kind: "aborted", error: LOST });
});

Deno.test("keepConnected discards a link that comes up after the abort, and waits until that is done", async () => {
  const bed = new Bed();
  const closed = Promise.withResolvers<void>();
  bed.run({}, { discard: (link) => (bed.discarded.push(link), closed.promise) });
  bed.watched.controller.abort("enough");
  await bed.link("late");
  assertEquals([bed.discarded, bed.used, bed.end], [["late"], [], undefined]);
  closed.resolve();
  await settle();
  bed.assertEnd({ kind: "aborted", error: "enough" });
});

Deno.test("keepConnected ends when the policy or the announcement aborts it, and says what a policy threw", async () => {
  const mistake = new Error("the policy is broken");
  const throwing = new Bed();
  throwing.run({
    policy: () => {
      throw mistake;
    },
  });
  await throwing.refuse();
  throwing.assertEnd({ kind: "policyFailed", error: REFUSED, mistake });

  const closing = new Bed();
  closing.run({ policy: () => (closing.watched.controller.abort("enough"), null) });
  await closing.refuse();
  closing.assertEnd({ kind: "aborted", error: REFUSED });

  const announced = new Bed();
  announced.run({}, { onRetry: () => announced.watched.controller.abort("enough") });
  await announced.refuse();
  announced.assertEnd({ kind: "aborted", error: REFUSED });
  assertEquals(announced.dials.length, 1);
});
