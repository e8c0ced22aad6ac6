// Sweeper: one timer for all, no more often than needed, none when there is nothing to sweep.
import { assertEquals } from "@std/assert";
import { Sweeper } from "../../connection/sweeper.ts";
import { Connection } from "../../connection.ts";
import { ScriptedTransport } from "../support/memory_scripted.ts";

/** Replaces the platform's intervals while `body` runs, and tells which ones are set. */
function withIntervals(body: (set: Map<number, { ms: number; run: () => void }>) => void): void {
  const { setInterval, clearInterval } = globalThis;
  const { unrefTimer } = Deno;
  const set = new Map<number, { ms: number; run: () => void }>();
  const unreffed: unknown[] = [];
  let last = 0;
  globalThis.setInterval = ((run: () => void, ms: number) => {
    set.set(++last, { ms, run });
    return last;
  }) as unknown as typeof setInterval;
  globalThis.clearInterval = (id) => void set.delete(id as number);
  Deno.unrefTimer = (id) => void unreffed.push(id);
  try {
    body(set);
  } finally {
    Object.assign(globalThis, { setInterval, clearInterval });
    Deno.unrefTimer = unrefTimer;
  }
  assertEquals(unreffed.length, last, "no timer keeps the process alive");
}

function intervals(set: Map<number, { ms: number }>): number[] {
  return [...set.values()].map(({ ms }) => ms);
}

Deno.test("Sweeper has one timer, as quick as the shortest time needs, and none without entries", () => {
  withIntervals((set) => {
    const sweeper = new Sweeper();
    assertEquals(intervals(set), []);
    const removeSlow = sweeper.add(() => {}, 60_000);
    assertEquals(intervals(set), [1000]);
    const removeQuick = sweeper.add(() => {}, 400);
    const removeQuickToo = sweeper.add(() => {}, 400);
    assertEquals(intervals(set), [100]);
    const removeQuickest = sweeper.add(() => {}, 1);
    assertEquals(intervals(set), [10]);
    removeQuickest();
    assertEquals(intervals(set), [100]);
    removeQuick();
    removeQuick();
    assertEquals(intervals(set), [100]);
    removeQuickToo();
    assertEquals(intervals(set), [1000]);
    removeSlow();
    assertEquals(intervals(set), []);
    const removeAgain = sweeper.add(() => {}, 2000);
    assertEquals(intervals(set), [500]);
    removeAgain();
    assertEquals(intervals(set), []);
  });
});

Deno.test("Sweeper calls every entry with its clock, also when entries leave meanwhile", () => {
  withIntervals((set) => {
    class Clock extends Sweeper {
      override nowMs(): number {
        return 42;
      }
    }
    const sweeper = new Clock();
    const seen: string[] = [];
    const removeFirst = sweeper.add((nowMs) => {
      seen.push(`first ${nowMs}`);
      removeFirst();
    }, 100);
    const removeSecond = sweeper.add((nowMs) => void seen.push(`second ${nowMs}`), 100);
    const [timer] = set.values();
    timer!.run();
    timer!.run();
    assertEquals(seen, ["first 42", "second 42", "second 42"]);
    removeSecond();
  });
});

Deno.test("Connection asks to be swept as often as its shortest timeout needs", () => {
  withIntervals((set) => {
    const sweeper = new Sweeper();
    const options = { sweeper, writeTimeoutMs: 2000, messageTimeoutMs: 1000, idleTimeoutMs: 0 };
    const connection = new Connection(new ScriptedTransport(), options);
    assertEquals(intervals(set), [250]);
    connection.abort();
    assertEquals(intervals(set), []);
  });
});
