// Backpressure of feeds, collects and talks: what a reader that stops holds back, order, and ends.
import { assert, assertEquals } from "@std/assert";
import { Random } from "../support/random.ts";
import { atRest, settles, staysBelow, until } from "../support/wait.ts";
import { STREAM_PORTS, Together } from "./together.ts";

/** Characters in each item. */
const BALLAST = 4096;

/** Most bytes that both sides together may hold of a feed whose reader has stopped. */
const MAX_HELD_BYTES = 2 ** 20;

/** Longest time in ms until a handler whose loop was left has run its `finally`. */
const LEAVE_MS = 100;

/** A feed of ours, and what its generator did. */
class CountedFeed {
  /** Values that it yielded. */
  yielded = 0;
  /** Generators that have run their `finally`. */
  left = 0;

  async *run(ballast: number): AsyncGenerator<{ n: number; ballast: string }> {
    try {
      for (let n = 0;; n++) {
        this.yielded++;
        yield { n, ballast: "x".repeat(ballast) };
      }
    } finally {
      this.left++;
    }
  }
}

for (const name of STREAM_PORTS) {
  Deno.test(`a feed whose reader stops stalls its generator within the window: ${name}`, async () => {
    const counted = new CountedFeed();
    await using pair = await Together.start(name, { count: () => counted.run(BALLAST) });
    const feed = pair.remote.count({ id: "", to: null });
    assertEquals((await settles("the first", feed.next())).value?.n, 0);
    const stalled = await atRest(() => counted.yielded, 300);
    assert(stalled * BALLAST < MAX_HELD_BYTES, `${stalled} items of ${BALLAST} bytes`);
    // It goes on where it stopped.
    for (let n = 1; n < stalled + 50; n++) {
      assertEquals((await settles("the next", feed.next())).value?.n, n);
    }
    await settles("the end", feed.return());
    await until("the generator has ended", () => counted.left === 1);
  });

  Deno.test(`leaving a feed's loop runs its finally within 100 ms: ${name}`, async () => {
    const counted = new CountedFeed();
    await using pair = await Together.start(name, { count: () => counted.run(10) });
    for (const stall of [false, true]) {
      await staysBelow(LEAVE_MS, async () => {
        const before = counted.left;
        for await (const { n } of pair.remote.count({ id: "", to: null })) {
          if (n < 20) continue;
          if (stall) await atRest(() => counted.yielded, 50);
          break;
        }
        const leftMs = performance.now();
        await until("the generator has ended", () => counted.left > before);
        return performance.now() - leftMs;
      });
    }
  });

  Deno.test(`a feed that is given up delivers no item afterwards: ${name}`, async () => {
    const counted = new CountedFeed();
    await using pair = await Together.start(name, { count: () => counted.run(10) });
    const random = new Random(1);
    for (let round = 0; round < 50; round++) {
      const giveUp = new AbortController();
      const feed = pair.remote.count({ id: "", to: null }, { signal: giveUp.signal });
      let expected = 0;
      const last = random.int(0, 30);
      const reading = async () => {
        for await (const { n } of feed) {
          assert(!giveUp.signal.aborted, `${n} came after the abort`);
          assertEquals(n, expected++);
          if (n < last) continue;
          if (random.chance(0.5)) giveUp.abort(new Error("enough"));
          else queueMicrotask(() => giveUp.abort(new Error("enough")));
          if (random.chance(0.5)) await new Promise((resolve) => setTimeout(resolve, 1));
        }
      };
      const error = await settles("the end", reading().then(() => null, (reason) => reason));
      assertEquals((error as Error | null)?.message, "enough");
    }
    await until("all generators have ended", () => counted.left === 50);
  });

  Deno.test(`feeds side by side keep their order, and one that stalls holds up no other: ${name}`, async () => {
    await using pair = await Together.start(name);
    const stalled = pair.remote.count({ id: "", to: null, ballast: BALLAST });
    await settles("the first", stalled.next());
    const random = new Random(2);
    const read = async (to: number) => {
      let expected = 0;
      for await (const { n } of pair.remote.count({ id: "", to, ballast: random.int(1, 2000) })) {
        assertEquals(n, expected++);
        if (random.chance(0.01)) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assertEquals(expected, to);
    };
    await settles("all feeds", Promise.all([1, 10, 100, 500, 500, 500].map(read)));
    assertEquals((await settles("the next", stalled.next())).value?.n, 1);
    await stalled.return();
  });

  Deno.test(`a collect whose handler stops reading stalls its source: ${name}`, async () => {
    const go = Promise.withResolvers<void>();
    await using pair = await Together.start(name, {
      async *shout(lines) {
        let read = 0;
        for await (const _ of lines) {
          if (read++ === 0) await go.promise;
        }
        yield `${read}`;
      },
    });
    let sent = 0;
    function* lines() {
      for (; sent < 1000; sent++) yield "x".repeat(BALLAST);
    }
    const answers = pair.remote.shout(lines());
    const first = answers.next();
    await until("something is sent", () => sent > 1);
    const stalled = await atRest(() => sent, 300);
    assert(stalled < 1000 && stalled * BALLAST < MAX_HELD_BYTES, `${stalled} items`);
    go.resolve();
    assertEquals((await settles("the answer", first)).value, "1000");
    assertEquals((await settles("the end", answers.next())).done, true);
  });
}
