// SharedTimer: waits end in time, or early and without a trace; one timer serves all of them.
import { assert, assertEquals } from "@std/assert";
import { SharedTimer } from "../../async/shared_timer.ts";
import { settles } from "../support/wait.ts";

/** Waits for so long on the timer; resolves with the time that it took, in ms. */
function wait(timer: SharedTimer, ms: number): Promise<number> {
  const startedMs = performance.now();
  return new Promise((resolve) => timer.after(ms, () => resolve(performance.now() - startedMs)));
}

Deno.test("SharedTimer ends each wait in its time, whatever their order", async () => {
  const timer = new SharedTimer();
  const delays = [40, 5, 60, 5, 20, 0, 100, 1];
  const order: number[] = [];
  const waits = delays.map(async (ms) => {
    const tookMs = await wait(timer, ms);
    order.push(ms);
    assert(tookMs >= ms - 1, `${tookMs} of ${ms} ms`);
  });
  await settles("all waits", Promise.all(waits));
  assertEquals(order.toSorted((a, b) => a - b), delays.toSorted((a, b) => a - b));
  assertEquals(timer.size, 0);
  timer.stop();
});

Deno.test("SharedTimer forgets waits that are cancelled, also from within a callback", async () => {
  const timer = new SharedTimer();
  const called: string[] = [];
  const cancels = Array.from({ length: 1000 }, (_, i) => timer.after(5, () => called.push(`${i}`)));
  for (const cancel of cancels) cancel();
  for (const cancel of cancels) cancel();
  assertEquals(timer.size, 0);
  timer.after(5, () => {
    called.push("first");
    cancel();
    timer.after(1, () => called.push("later"));
  });
  const cancel = timer.after(5, () => called.push("never"));
  await wait(timer, 30);
  assertEquals(called, ["first", "later"]);
  timer.stop();
});

Deno.test("SharedTimer.stop() drops waits and the timer; one that begins later leaves nothing when cancelled", () => {
  const timer = new SharedTimer();
  timer.after(60_000, () => {});
  timer.after(10, () => {});
  timer.stop();
  assertEquals(timer.size, 0);
  timer.after(60_000, () => {})();
  // The sanitizer of this test fails if a timer is left.
});

Deno.test("SharedTimer keeps no process alive without waits, and does with one", async () => {
  const run = async (last: string) => {
    const code = `
      import { SharedTimer } from "${new URL("../../async/shared_timer.ts", import.meta.url)}";
      const timer = new SharedTimer();
      const cancel = timer.after(30_000, () => {});
      cancel();
      ${last}
    `;
    const command = new Deno.Command(Deno.execPath(), { args: ["eval", code], stderr: "inherit" });
    return new TextDecoder().decode((await command.output()).stdout).trim();
  };
  const startedMs = performance.now();
  assertEquals(await run(""), "");
  assert(performance.now() - startedMs < 25_000, "it ends before the timer");
  assertEquals(await run("timer.after(50, () => console.log('done'));"), "done");
});
