// TokenBucket: bursts, refill, debts and waiting times, against a naive model.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { TokenBucket } from "../../collections/token_bucket.ts";

Deno.test("TokenBucket starts full, and its burst is one second of the rate, at least 1", () => {
  assertEquals(new TokenBucket({ perSecond: 50 }, 0).tokens(0), 50);
  assertEquals(new TokenBucket({ perSecond: 0.5 }, 0).tokens(0), 1);
  assertEquals(new TokenBucket({ perSecond: 50, burst: 3 }, 0).tokens(0), 3);
});

Deno.test("TokenBucket.tryTake() allows exactly the burst at once, then one per interval", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, 0);
  assertEquals([1, 2, 3, 4].map(() => bucket.tryTake(1, 0)), [true, true, true, false]);
  assertEquals(bucket.tryTake(1, 99), false);
  assertEquals(bucket.tryTake(1, 100), true);
  assertEquals(bucket.tryTake(1, 100), false);
});

Deno.test("TokenBucket.waitMs() tells when a count may be taken, and not a moment too late", () => {
  const bucket = new TokenBucket({ perSecond: 1000, burst: 100 }, 0);
  assertEquals([bucket.waitMs(100, 0), bucket.waitMs(1, 0)], [0, 0]);
  bucket.spend(100);
  assertEquals([bucket.waitMs(1, 0), bucket.waitMs(60, 0)], [1, 60]);
  assertEquals([bucket.waitMs(60, 59), bucket.waitMs(60, 60)], [1, 0]);
});

Deno.test("TokenBucket.tryTake() lets a count above the burst pass when the bucket is full, and leaves a debt", () => {
  const bucket = new TokenBucket({ perSecond: 1000, burst: 10 }, 0);
  assertEquals(bucket.tryTake(1, 0), true);
  assertEquals([bucket.tryTake(1010, 0), bucket.waitMs(1010, 0)], [false, 1]);
  assertEquals(bucket.tryTake(1010, 1), true);
  assertEquals(bucket.waitMs(1, 1), 1001);
});

Deno.test("TokenBucket has a debt of 30 seconds at most, however large the count was", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 10 }, 0);
  assertEquals(bucket.tryTake(2 ** 30, 0), true);
  assertEquals([bucket.tokens(0), bucket.waitMs(1, 0)], [-300, 30_100]);
  assertEquals(bucket.tryTake(1, 30_100), true);
});

Deno.test("TokenBucket.drainMs() tells how long many would take, and changes nothing", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 0);
  assertEquals([bucket.drainMs(5, 0), bucket.drainMs(15, 0)], [0, 1000]);
  bucket.spend(5);
  assertEquals([bucket.drainMs(5, 0), bucket.drainMs(5, 100), bucket.drainMs(5, 9999)], [
    500,
    400,
    0,
  ]);
  assertEquals(bucket.tokens(0), 0);
});

Deno.test("TokenBucket never holds more than its burst, however long it rests", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, 0);
  bucket.tryTake(3, 0);
  assertEquals(bucket.tokens(1e12), 3);
});

Deno.test("TokenBucket gives nothing for a clock that goes back, and goes on from there", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 1 }, 1000);
  bucket.tryTake(1, 1000);
  assertEquals(bucket.tryTake(1, 0), false);
  assertEquals(bucket.tryTake(1, 99), false);
  assertEquals(bucket.tryTake(1, 101), true);
});

Deno.test("TokenBucket refuses a rate or a burst that is not greater than 0 and finite", () => {
  for (const value of [0, -1, NaN, Infinity]) {
    assertThrows(
      () => new TokenBucket({ perSecond: value }, 0),
      RangeError,
      `"perSecond" must be greater than 0`,
    );
    assertThrows(() => new TokenBucket({ perSecond: 1, burst: value }, 0), RangeError, `"burst"`);
  }
});

Deno.test("TokenBucket keeps a user that waits as asked to the rate, at any sizes and pauses", () => {
  const step = fc.record({
    count: fc.integer({ min: 1, max: 50 }),
    restMs: fc.integer({ min: 0, max: 300 }),
  });
  // No debt above 30 seconds, which would be forgiven.
  const rate = fc.integer({ min: 2, max: 2000 });
  fc.assert(
    fc.property(
      rate,
      fc.integer({ min: 1, max: 100 }),
      fc.array(step),
      (perSecond, burst, steps) => {
        const bucket = new TokenBucket({ perSecond, burst }, 0);
        let nowMs = 0;
        let passed = 0;
        for (const { count, restMs } of steps) {
          nowMs += bucket.waitMs(count, nowMs);
          assertAlmostEquals(bucket.waitMs(count, nowMs), 0, 0.001);
          bucket.spend(count);
          passed += count;
          // No more has passed than the rate and one burst allow, but for what is above the burst
          // of a last one.
          const over = Math.max(0, count - burst);
          assert(passed <= burst + over + perSecond * (nowMs + 0.01) / 1000 + 1e-6);
          nowMs += restMs;
        }
      },
    ),
  );
});

Deno.test("TokenBucket.tryTake() agrees with a model that counts in small steps of time", () => {
  const step = fc.record({
    count: fc.integer({ min: 1, max: 4 }),
    restMs: fc.integer({ min: 0, max: 40 }),
  });
  fc.assert(fc.property(fc.array(step), (steps) => {
    // 125 tokens a second are an eighth of a token per millisecond: exact in binary.
    const bucket = new TokenBucket({ perSecond: 125, burst: 4 }, 0);
    let model = 4;
    let nowMs = 0;
    for (const { count, restMs } of steps) {
      const expected = model >= count;
      if (expected) model -= count;
      assertEquals(bucket.tryTake(count, nowMs), expected);
      nowMs += restMs;
      for (let ms = 0; ms < restMs; ms++) model = Math.min(4, model + 0.125);
    }
  }));
});

Deno.test("TokenBucket gives its burst at once and then its rate", () => {
  const bucket = new TokenBucket({ burst: 2, perSecond: 10 }, 0);
  const take = (nowMs: number) => bucket.tryTake(1, nowMs);
  assertEquals([take(0), take(0), take(0)], [true, true, false]);
  assertEquals([take(99), take(100), take(100)], [false, true, false]);
  assertEquals([take(10_000), take(10_000), take(10_000)], [true, true, false]);
});

Deno.test("TokenBucket takes tokens back, as far as they fit", () => {
  const bucket = new TokenBucket({ burst: 3, perSecond: 1 }, 0);
  assertEquals(bucket.tryTake(3, 0), true);
  bucket.restore(2);
  assertEquals(bucket.tokens(0), 2);
  bucket.restore(2);
  assertEquals(bucket.tokens(0), 3);
});
