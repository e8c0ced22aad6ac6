// Backoff: bounds of the jitter, counting, starting over, own policies.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { settle } from "../support/simulation/memory_connections.ts";
import {
  Backoff,
  nextDelay,
  type ReconnectInfo,
  type ReconnectOptions,
} from "../../async/backoff.ts";

const ERROR = new Error("refused");

/** The largest number that Math.random can return. */
const ALMOST_ONE = 1 - 2 ** -53;

Deno.test("nextDelay() spreads evenly from the shortest delay to a bound that doubles up to the longest", () => {
  const bounds = [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
  for (const [index, bound] of bounds.entries()) {
    assertEquals(nextDelay(index + 1, 0), 100);
    assertEquals(nextDelay(index + 1, 0.5), (100 + bound) / 2);
    assert(Math.abs(nextDelay(index + 1, ALMOST_ONE) - bound) < 1e-6);
  }
  assertEquals(nextDelay(1e9, 0.5), 15_050);
});

Deno.test("nextDelay() stays within its bounds for any attempt and any bounds", () => {
  const bound = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  const random = fc.double({ min: 0, max: ALMOST_ONE, noNaN: true });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      random,
      bound,
      bound,
      (attempt, draw, one, other) => {
        const [minDelayMs, maxDelayMs] = one < other ? [one, other] : [other, one];
        const delayMs = nextDelay(attempt, draw, { minDelayMs, maxDelayMs });
        assert(delayMs >= minDelayMs && delayMs <= maxDelayMs);
      },
    ),
  );
});

Deno.test("Backoff counts attempts on while they fail, and while the link does not last", () => {
  const backoff = new Backoff();
  const delays: (number | null)[] = [];
  for (let nowMs = 0; nowMs < 20_000; nowMs += 4000) {
    delays.push(backoff.failed(ERROR, nowMs, 0.5));
    backoff.connected(nowMs + 1);
  }
  assertEquals(delays, [150, 250, 450, 850, 1650]);
  assertEquals(backoff.attempts, 5);
});

Deno.test("Backoff starts over after a link of 5 s, and not a moment earlier", () => {
  for (const [lastedMs, expected] of [[4999, 450], [5000, 150], [1e9, 150]] as const) {
    const backoff = new Backoff();
    backoff.failed(ERROR, 0, 0.5);
    backoff.failed(ERROR, 0, 0.5);
    backoff.connected(1_000);
    assertEquals(backoff.failed(ERROR, 1_000 + lastedMs, 0.5), expected);
  }
});

Deno.test("Backoff starts over after a link that was of use, however short it was", () => {
  const backoff = new Backoff();
  const lose = (wasUsed: boolean) => {
    backoff.connected(0);
    if (wasUsed) backoff.used();
    return backoff.failed(ERROR, 1, 0.5);
  };
  assertEquals([lose(false), lose(false), lose(true), lose(false), lose(true)], [
    150,
    250,
    150,
    250,
    150,
  ]);
  assertEquals(backoff.attempts, 1);
});

Deno.test("Backoff counts attempts that failed for maxAttempts, and no link that was lost, of use or not", () => {
  const backoff = new Backoff({ maxAttempts: 2 });
  for (let i = 0; i < 20; i++) {
    if (i % 2 === 0) assert(backoff.failed(ERROR, i, 0) !== null);
    backoff.connected(i);
    assert(backoff.failed(ERROR, i, 0) !== null);
  }
  // One of them was after the loss.
  assert(backoff.failed(ERROR, 20, 0) !== null);
  assertEquals(backoff.failed(ERROR, 20, 0), null);
});

Deno.test("Backoff refuses an async policy, whose rejection then ends no process", async () => {
  const asynchronous = () => Promise.reject(new Error("Later")) as unknown as number;
  assertThrows(
    () => new Backoff({ policy: asynchronous }).failed(ERROR, 0, 0),
    TypeError,
    "policy",
  );
  await settle();
});

Deno.test("Backoff gives up after maxAttempts in a row", () => {
  const attemptsOf = (maxAttempts: number): number => {
    const backoff = new Backoff({ maxAttempts });
    let attempts = 0;
    while (attempts < 100 && backoff.failed(ERROR, attempts, 0) !== null) attempts++;
    return attempts;
  };
  assertEquals([0, 1, 3, Infinity].map(attemptsOf), [0, 1, 3, 100]);
});

Deno.test("Backoff asks the policy in place of the delays, and tells it what happened", () => {
  const seen: ReconnectInfo[] = [];
  const answers = [0, 5, null];
  const backoff = new Backoff({
    policy: (info) => {
      seen.push(info);
      return answers[seen.length - 1] ?? null;
    },
  });
  backoff.started(100);
  assertEquals(backoff.failed(ERROR, 150, 0.5), 0);
  assertEquals(backoff.failed("other", 175, 0.5), 5);
  backoff.connected(200);
  assertEquals(backoff.failed(ERROR, 500, 0.5), null);
  assertEquals(seen, [
    { attempt: 1, error: ERROR, elapsedMs: 50 },
    { attempt: 2, error: "other", elapsedMs: 75 },
    { attempt: 3, error: ERROR, elapsedMs: 0 },
  ]);
});

Deno.test("Backoff does not ask the policy beyond maxAttempts", () => {
  let asked = 0;
  const backoff = new Backoff({
    maxAttempts: 1,
    policy: () => {
      asked++;
      return 1;
    },
  });
  assertEquals([backoff.failed(ERROR, 0, 0), backoff.failed(ERROR, 0, 0)], [1, null]);
  assertEquals(asked, 1);
});

Deno.test("Backoff refuses what a policy may not give, and passes its own error on", () => {
  for (const wrong of [-1, NaN, Infinity, 2 ** 31]) {
    const backoff = new Backoff({ policy: () => wrong });
    assertThrows(
      () => backoff.failed(ERROR, 0, 0),
      RangeError,
      `Cannot reconnect: "policy(…)" must be 0 to`,
    );
  }
  // deno-lint-ignore no-explicit-any
  const nothing = new Backoff({ policy: (() => undefined) as any });
  assertThrows(() => nothing.failed(ERROR, 0, 0), TypeError);
  const own = new Error("own");
  const throwing = new Backoff({
    policy: () => {
      throw own;
    },
  });
  assertEquals(assertThrows(() => throwing.failed(ERROR, 0, 0)), own);
});

Deno.test("Backoff refuses options out of range", () => {
  const cases: [ReconnectOptions, string][] = [
    [{ minDelayMs: 0 }, `Cannot reconnect: "minDelayMs" must be 1 to`],
    [{ minDelayMs: 500, maxDelayMs: 499 }, `"maxDelayMs" must be 500 to`],
    [{ maxDelayMs: Infinity }, `"maxDelayMs"`],
    [{ maxAttempts: -1 }, `"maxAttempts"`],
    [{ maxAttempts: 1.5 }, `"maxAttempts"`],
    [{ maxAttempts: NaN }, `"maxAttempts"`],
    [{ healthyAfterMs: 0 }, `"healthyAfterMs"`],
  ];
  for (const [options, text] of cases) assertThrows(() => new Backoff(options), RangeError, text);
  // deno-lint-ignore no-explicit-any
  const wrong: any[] = [{ policy: 5 }, { maxAttempts: "5" }, { minDelayMs: "5" }];
  for (const options of wrong) assertThrows(() => new Backoff(options), TypeError);
});

Deno.test("Backoff takes a shortest delay above the default of the longest one as both", () => {
  assertEquals(new Backoff({ minDelayMs: 45_000 }).failed(ERROR, 0, 0.9), 45_000);
});
