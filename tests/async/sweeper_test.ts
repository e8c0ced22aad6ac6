// Sweeper: one timer for all, no more often than needed, none when there is nothing to sweep.
import { assertEquals, assertThrows } from "@std/assert";
import { Sweeper, type Swept } from "../../async/sweeper.ts";
import { Connection } from "../../connection.ts";
import { ScriptedTransport } from "../support/simulation/memory_scripted.ts";

/** The timers that are set, and a clock to let them fire by. */
class Timers {
  readonly set: Map<number, { readonly ms: number; readonly run: () => void }> = new Map();
  nowMs = 1000;
  last = 0;

  /** The delays of all timers that wait. */
  get delays(): number[] {
    return [...this.set.values()].map(({ ms }) => ms);
  }

  /** Lets the one timer fire. */
  fire(): void {
    const [[id, { ms, run }]] = this.set as unknown as [[number, { ms: number; run: () => void }]];
    this.set.delete(id);
    this.nowMs += ms;
    run();
  }
}

/** Adds what is called with each sweep; the result removes it. */
function add(sweeper: Sweeper, sweep: Swept["sweep"], shortestMs: number): () => void {
  const entry = { sweep };
  sweeper.add(entry, shortestMs);
  return () => sweeper.remove(entry);
}

/** Replaces the platform's timers while `body` runs. */
function withTimers(body: (timers: Timers, sweeper: Sweeper) => void): void {
  const { setTimeout, clearTimeout } = globalThis;
  const { unrefTimer } = Deno;
  const timers = new Timers();
  const unreffed: unknown[] = [];
  class Clock extends Sweeper {
    protected override clockMs(): number {
      return timers.nowMs;
    }
  }
  globalThis.setTimeout = ((run: () => void, ms: number) => {
    timers.set.set(++timers.last, { ms, run });
    return timers.last;
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = (id) => void timers.set.delete(id as number);
  Deno.unrefTimer = (id) => void unreffed.push(id);
  try {
    body(timers, new Clock());
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Deno.unrefTimer = unrefTimer;
  }
  assertEquals(unreffed.length, timers.last, "no timer keeps the process alive");
}

Deno.test("Sweeper has one timer, as quick as the shortest time needs, and none without entries", () => {
  withTimers((timers, sweeper) => {
    assertEquals(timers.delays, []);
    const removeSlow = add(sweeper, () => {}, 60_000);
    assertEquals(timers.delays, [1000]);
    const removeQuick = add(sweeper, () => {}, 400);
    const removeQuickToo = add(sweeper, () => {}, 400);
    assertEquals(timers.delays, [100]);
    const removeQuickest = add(sweeper, () => {}, 1);
    assertEquals(timers.delays, [10]);
    removeQuickest();
    assertEquals(timers.delays, [100]);
    removeQuick();
    removeQuick();
    assertEquals(timers.delays, [100]);
    removeQuickToo();
    assertEquals(timers.delays, [1000]);
    removeSlow();
    assertEquals(timers.delays, []);
    const removeAgain = add(sweeper, () => {}, 2000);
    assertEquals(timers.delays, [500]);
    removeAgain();
    assertEquals(timers.delays, []);
  });
});

Deno.test("Sweeper goes on with its period when the interval changes: none postpones the others", () => {
  withTimers((timers, sweeper) => {
    let swept = 0;
    const remove = add(sweeper, () => void swept++, 1200);
    assertEquals(timers.delays, [300]);
    // Others come and go all the time, each with a shorter time than the one before had left.
    for (let count = 0; count < 50; count++) {
      const removeOther = add(sweeper, () => {}, 800);
      timers.nowMs += 5;
      removeOther();
    }
    assertEquals(timers.delays, [50]);
    timers.fire();
    assertEquals([swept, ...timers.delays], [1, 300]);
    // What is overdue for a quicker one is swept at once.
    timers.nowMs += 250;
    const removeQuick = add(sweeper, () => {}, 400);
    assertEquals(timers.delays, [0]);
    timers.fire();
    assertEquals([swept, ...timers.delays], [2, 100]);
    removeQuick();
    assertEquals(timers.delays, [300]);
    remove();
    assertEquals(timers.delays, []);
  });
});

Deno.test("Sweeper calls every entry with its clock, also when entries leave meanwhile, and after one that throws", () => {
  withTimers((timers, sweeper) => {
    const seen: string[] = [];
    const removeFirst = add(sweeper, (nowMs) => {
      seen.push(`first ${nowMs}`);
      removeFirst();
    }, 100);
    const removeSecond = add(sweeper, (nowMs) => void seen.push(`second ${nowMs}`), 100);
    timers.fire();
    timers.fire();
    assertEquals(seen, ["first 1025", "second 1025", "second 1050"]);
    const removeThird = add(sweeper, () => {
      throw new Error("no");
    }, 100);
    assertThrows(() => timers.fire(), Error, "no");
    assertEquals(timers.delays, [25], "it sweeps on");
    removeSecond();
    removeThird();
  });
});

Deno.test("Sweeper does not count the time in which the process stood still, and goes on after it", () => {
  withTimers((timers, sweeper) => {
    const transport = new ScriptedTransport();
    transport.hold();
    const connection = new Connection(transport, { sweeper, writeTimeoutMs: 400 });
    connection.send("x".repeat(100_000));
    timers.fire();
    timers.nowMs += 3_600_000;
    timers.fire();
    assertEquals(connection.status, "open");
    const beganAtMs = timers.nowMs;
    while (connection.status === "open") timers.fire();
    assertEquals(timers.nowMs - beganAtMs <= 400, true, "the time before and after it counts");
  });
});

Deno.test("Connection asks to be swept as often as its shortest timeout needs", () => {
  withTimers((timers, sweeper) => {
    const options = { sweeper, writeTimeoutMs: 2000, messageTimeoutMs: 1000, idleTimeoutMs: 0 };
    const connection = new Connection(new ScriptedTransport(), options);
    assertEquals(timers.delays, [250]);
    connection.abort();
    assertEquals(timers.delays, []);
  });
});
