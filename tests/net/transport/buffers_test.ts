// Write buffers: shared by the process, given back, so that an idle connection holds none.
import { assert, assertEquals } from "@std/assert";
import {
  HUGE_BYTES,
  LARGE_BYTES,
  returnBuffer,
  SMALL_BYTES,
  takeBuffer,
} from "../../../net/transport/buffers.ts";
import { Sweeper } from "../../../async/sweeper.ts";
import { lengthPrefixed } from "../../../framing.ts";
import { pattern } from "../../support/bytes.ts";
import { scriptedConnection, settle } from "../../support/simulation/memory_connections.ts";

/** Leaves nothing in the store but these. */
function fillStore(buffers: readonly Uint8Array[]): void {
  takeAll();
  buffers.forEach(returnBuffer);
}

/** Takes all buffers out of the store, and new ones after them. */
function takeAll(): Set<Uint8Array> {
  return new Set(
    [SMALL_BYTES, LARGE_BYTES, HUGE_BYTES].flatMap((size) =>
      Array.from({ length: 600 }, () => takeBuffer(size))
    ),
  );
}

Deno.test("takeBuffer() gives a small, a large or a huge buffer, and one that was given back again", () => {
  const lengths = [1, SMALL_BYTES, SMALL_BYTES + 1, LARGE_BYTES, LARGE_BYTES + 1, HUGE_BYTES]
    .map((bytes) => takeBuffer(bytes).length);
  assertEquals(lengths, [
    SMALL_BYTES,
    SMALL_BYTES,
    LARGE_BYTES,
    LARGE_BYTES,
    HUGE_BYTES,
    HUGE_BYTES,
  ]);
  for (const size of [SMALL_BYTES, LARGE_BYTES, HUGE_BYTES]) {
    const buffer = takeBuffer(size);
    returnBuffer(buffer);
    assert(takeBuffer(size) === buffer);
    returnBuffer(buffer);
  }
});

for (const size of [10, 20_000, 100_000, 1_000_000]) {
  Deno.test(`Connection gives its write buffers back once ${size} bytes are written, and not before`, async () => {
    const buffers = [SMALL_BYTES, SMALL_BYTES, SMALL_BYTES, LARGE_BYTES, LARGE_BYTES]
      .map((bytes) => new Uint8Array(bytes));
    fillStore(buffers);
    const { connection, transport } = scriptedConnection({ framing: lengthPrefixed() });
    transport.hold();
    connection.send(pattern(size));
    await settle();
    const before = takeAll();
    assert(!before.isSupersetOf(new Set(buffers)), "the transport still reads from one of them");
    fillStore(buffers.filter((buffer) => before.has(buffer)));
    transport.releaseAll();
    await connection.flush();
    await settle();
    // An idle connection holds none, not even one that is empty.
    assert(takeAll().isSupersetOf(new Set(buffers)));
    connection.abort();
  });
}

Deno.test("returnBuffer() keeps a bounded number", () => {
  const many = [SMALL_BYTES, LARGE_BYTES, HUGE_BYTES].flatMap((bytes) =>
    Array.from({ length: 600 }, () => new Uint8Array(bytes))
  );
  fillStore(many);
  assertEquals(takeAll().intersection(new Set(many)).size, 512 + 64 + 16);
});

/** A sweeper whose clock and timer are the test's. */
class TestSweeper extends Sweeper {
  #nowMs = performance.now();

  protected override clockMs(): number {
    return this.#nowMs;
  }

  /** Lets `ms` pass, and its timer fire. */
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    const entry = { sweep() {} };
    // A quicker entry is overdue: it is swept at once.
    this.add(entry, 0);
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.remove(entry);
  }
}

Deno.test("returnBuffer() keeps nothing for longer than ten seconds after a burst, and what is needed meanwhile", async () => {
  takeAll();
  const sweeper = new TestSweeper();
  const connection = { sweep() {} };
  sweeper.add(connection, Infinity);
  const burst = Array.from({ length: 50 }, () => takeBuffer(LARGE_BYTES));
  burst.forEach(returnBuffer);
  for (let ms = 0; ms < 9000; ms += 1000) {
    // Two at a time go on being used.
    const used = [takeBuffer(LARGE_BYTES), takeBuffer(LARGE_BYTES)];
    assert(used.every((buffer) => burst.includes(buffer)), `after ${ms} ms`);
    used.forEach(returnBuffer);
    await sweeper.pass(1000);
  }
  assertEquals(takeAll().intersection(new Set(burst)).size, 2);
  returnBuffer(burst[0]!);
  // With the last connection everything goes at once.
  sweeper.remove(connection);
  assert(!takeAll().has(burst[0]!));
});
