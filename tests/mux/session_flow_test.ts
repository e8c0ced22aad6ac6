// Tests of MuxSession: who writes when, what is held for slow readers, and windows that grow.
import { assert, assertEquals } from "@std/assert";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { INITIAL_WINDOW_BYTES, MuxMemory, MuxSession, type MuxStream } from "../../mux/mod.ts";
import { pattern } from "../support/bytes.ts";
import { codeOf, MuxPair, readAll, timedPair } from "../support/peers/mux_pair.ts";
import { RawPeer } from "../support/peers/raw_mux.ts";
import { settle } from "../support/simulation/test_clock.ts";

/** A session whose writes take `time.writeMs` each; reports the size of each. */
function sessionWithWriteTime(writeMs: number) {
  const sizes: number[] = [];
  const [left, right] = memoryPair({ bufferBytes: 1 << 20 });
  const time = { nowMs: 0, writeMs };
  const spied = Object.assign(Object.create(left), {
    read: () => left.read(),
    write(bytes: Uint8Array) {
      sizes.push(bytes.length);
      time.nowMs += time.writeMs;
      return left.write(bytes);
    },
    close: () => left.close(),
  });
  const clock = { now: () => time.nowMs, after: () => () => {} };
  const session = new MuxSession(spied, { role: "server", clock, keepAliveMs: 0 });
  return { session, peer: new RawPeer(right), sizes, time };
}

for (
  const { link, writeMs, most, batch } of [
    { link: "slow", writeMs: 11, most: 16, batch: 64 },
    { link: "fast", writeMs: 0, most: 64, batch: 257 },
  ]
) {
  Deno.test(`MuxSession on a ${link} link gives each stream with something to send ${most} KiB in turn`, async () => {
    const { session, peer, sizes } = sessionWithWriteTime(writeMs);
    const writes: Promise<void>[] = [];
    const warmUp = await session.openStream();
    await warmUp.write(new Uint8Array(INITIAL_WINDOW_BYTES));
    await settle();
    for (let count = 0; count < 3; count++) {
      const stream = await session.openStream();
      writes.push(stream.write(new Uint8Array(2.5 * most * 1024)));
    }
    const order: number[] = [];
    for (let left = INITIAL_WINDOW_BYTES + 7.5 * most * 1024; left > 0;) {
      const next = await peer.next();
      if (next?.type !== 0) continue;
      assert(next.length <= most * 1024, `${next.length} bytes in a frame`);
      // A slice may be cut at the end of a batch, and the rest comes in the next turn.
      if (next.streamId !== warmUp.id && order.at(-1) !== next.streamId) order.push(next.streamId);
      left -= next.length;
    }
    assertEquals(order.slice(0, 6), [4, 6, 8, 4, 6, 8]);
    await Promise.all(writes);
    assert(Math.max(...sizes) <= batch * 1024, `${Math.max(...sizes)} bytes in one write`);
    assert(Math.max(...sizes) > batch * 512, `at most ${Math.max(...sizes)} bytes in one write`);
    session.abort();
    await session.closed;
  });
}

Deno.test("MuxSession sends control frames before data that waits", async () => {
  const [left, right] = memoryPair({ bufferBytes: 1 });
  const session = new MuxSession(left, { role: "server" });
  const stream = await session.openStream();
  const writing = stream.write(new Uint8Array(200_000));
  await settle(200);
  const pinging = session.ping();
  pinging.catch(() => {});
  let before = 0;
  for (let found = false; !found;) {
    const chunk = await right.read();
    assert(chunk !== null);
    // The ping stands at the head of the batch that is made next.
    found = chunk[1] === 2;
    if (!found) before += chunk.length;
  }
  assert(before <= 2 * 65536, `${before} bytes came before the ping`);
  session.abort();
  await writing.catch(() => {});
  await session.closed;
});

Deno.test("MuxSession joins small writes", async () => {
  const { session, sizes } = sessionWithWriteTime(0);
  const stream = await session.openStream();
  await Promise.all(Array.from({ length: 100 }, () => stream.write(new Uint8Array(10))));
  await settle();
  assertEquals(sizes, [12 + 100 * 22]);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession makes writes small again when one takes long", async () => {
  const { session, sizes, time } = sessionWithWriteTime(0);
  const streams = await Promise.all(Array.from({ length: 4 }, () => session.openStream()));
  const writeAll = () => Promise.all(streams.map((stream) => stream.write(new Uint8Array(60_000))));
  await writeAll();
  await writeAll();
  await settle();
  assert(Math.max(...sizes) > 65536, "the link was found to be fast");
  time.writeMs = 50;
  await writeAll();
  await settle();
  sizes.length = 0;
  await writeAll();
  assert(Math.max(...sizes) <= 65536, `${Math.max(...sizes)} bytes in one write`);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession with one reader that stopped keeps the other streams at full rate", async () => {
  await using pair = new MuxPair();
  const [stuck] = await pair.open();
  const stuckWrite = stuck.write(new Uint8Array(1 << 20));
  const copy = async () => {
    const [near, far] = await pair.open();
    const reading = readAll(far);
    await near.write(new Uint8Array(500_000));
    await near.closeWrite();
    await far.closeWrite();
    return (await reading).length;
  };
  const sizes = [];
  for (let count = 0; count < 8; count++) sizes.push(await copy());
  assertEquals(sizes, Array(8).fill(500_000));
  assertEquals(stuck.stats().bytesOut, INITIAL_WINDOW_BYTES);
  assertEquals(pair.server.stats().bufferedBytes, INITIAL_WINDOW_BYTES);
  stuck.reset();
  await stuckWrite.catch(() => {});
});

Deno.test("MuxSession refuses the opening of a stream whose window fits no budget, and keeps all that it let be sent", async () => {
  const memory = new MuxMemory({ maxBytes: 1 << 20 });
  await using pair = new MuxPair({}, { memory, maxBufferedBytes: 2 * INITIAL_WINDOW_BYTES });
  const [first, firstFar] = await pair.open();
  const [second, secondFar] = await pair.open();
  const data = pattern(INITIAL_WINDOW_BYTES);
  await Promise.all([first.write(data), second.write(data)]);
  const third = await pair.client.openStream();
  assertEquals(await codeOf(third.read()), "ERR_TOO_MANY_STREAMS");
  assertEquals([memory.reservedBytes, memory.usedBytes], [2 * data.length, 2 * data.length]);
  await Promise.all([first.closeWrite(), second.closeWrite()]);
  for (const far of [firstFar, secondFar]) assertEquals(await readAll(far), data);
  assertEquals([memory.reservedBytes, memory.usedBytes, pair.client.status], [0, 0, "open"]);
});

Deno.test("MuxSession keeps what has come whole, with its FIN, when other streams need memory", async () => {
  await using pair = new MuxPair({}, { maxBufferedBytes: INITIAL_WINDOW_BYTES });
  const [near, far] = await pair.open();
  const data = pattern(200_000);
  await near.write(data);
  await near.closeWrite();
  const [other, otherFar] = await pair.open();
  await other.write(data);
  const third = await pair.client.openStream();
  assertEquals(await codeOf(third.read()), "ERR_TOO_MANY_STREAMS");
  other.reset();
  assertEquals((await otherFar.closed)?.code, "ERR_RESET");
  await far.closeWrite();
  assertEquals(await readAll(far), data);
  assertEquals([await near.closed, await far.closed], [undefined, undefined]);
  await using next = await pair.client.openStream();
  await pair.server.acceptStream();
  assertEquals(next.stats().state, "opening");
});

Deno.test("MuxSession grows the window of a reader that keeps up on a long link, and gives growth back", async () => {
  const memory = new MuxMemory();
  const { client, server, clock, end } = timedPair({ memory });
  const near = await client.openStream();
  const writing = near.write(new Uint8Array(8 << 20)).then(() => near.closeWrite());
  await clock.advance(20);
  const far = await server.acceptStream() as MuxStream;
  let read = 0;
  let over = false;
  const reading = (async () => {
    for await (const chunk of far) read += chunk.length;
    over = true;
  })();
  let largest = 0;
  await clock.runUntil(() => {
    largest = Math.max(largest, far.stats().windowBytes);
    return over;
  }, 60_000);
  await Promise.all([reading, writing]);
  assertEquals(read, 8 << 20);
  assert(largest >= 2 << 20, `the window reached ${largest}`);
  assertEquals(memory.grownBytes, 0);
  await end();
});
