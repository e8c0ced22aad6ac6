// Tests of the budget of retries.
import { assert, assertEquals } from "@std/assert";
import { RetryBudget } from "../../pool/retry_budget.ts";
import { forSeeds } from "../support/random.ts";

/** How many retries can be had now. */
function drain(budget: RetryBudget, nowMs: number): number {
  let taken = 0;
  while (budget.tryTake(nowMs)) taken++;
  return taken;
}

Deno.test("RetryBudget allows a share of the requests, and not one more", () => {
  const budget = new RetryBudget({ ratio: 0.25, minPerSecond: 0 }, 0);
  for (let i = 0; i < 39; i++) budget.request();
  assertEquals(drain(budget, 0), 9);
  budget.request();
  assertEquals(drain(budget, 0), 1);
  assertEquals(drain(budget, 1e9), 0);
});

Deno.test("RetryBudget lets a quiet client try again, and keeps ten seconds' worth at most", () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 3 }, 0);
  assertEquals(drain(budget, 0), 3);
  assertEquals(drain(budget, 333), 0);
  assertEquals(drain(budget, 334), 1);
  assertEquals(drain(budget, 1e9), 30);
});

Deno.test("RetryBudget is not confused by a clock that goes back", () => {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 1 }, 1000);
  assertEquals(drain(budget, 0), 1);
  assertEquals(drain(budget, 1000), 0);
  assertEquals(drain(budget, 2000), 1);
});

Deno.test("RetryBudget never allows more than its options say, whatever happens when", () => {
  forSeeds(100, (random) => {
    const ratio = random.int(0, 10) / 10;
    const minPerSecond = random.int(0, 20);
    const budget = new RetryBudget({ ratio, minPerSecond }, 0);
    let nowMs = 0;
    let requests = 0;
    let retries = 0;
    for (let i = 0; i < 1000; i++) {
      if (random.chance(0.5)) nowMs += random.int(0, 100);
      if (random.chance(0.5)) {
        budget.request();
        requests++;
      } else if (budget.tryTake(nowMs)) retries++;
      const most = minPerSecond + ratio * requests + minPerSecond * nowMs / 1000;
      assert(retries <= most + 1e-6, `${retries} retries, of at most ${most}`);
    }
  });
});
