// Tests of streams that the application drops without reading what came.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MuxMemory } from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import { collectGarbage } from "../support/peers/garbage.ts";
import { MuxPair } from "../support/peers/mux_pair.ts";
import { until } from "../support/wait.ts";

/** Asks and does not look at the answer. */
async function askInVain(pair: MuxPair): Promise<void> {
  const [near, far] = await pair.open();
  await near.write(utf8("question"));
  await near.closeWrite();
  await far.read();
  await far.read();
  await far.write(utf8("answer"));
  await far.closeWrite();
  await near.closed;
}

Deno.test("MuxSession frees the answers of streams that were dropped unread, and keeps those that still can be read", async () => {
  const memory = new MuxMemory();
  await using pair = new MuxPair({ memory });
  const [near, far] = await pair.open();
  await far.write(utf8("kept"));
  await far.closeWrite();
  await near.closeWrite();
  await near.closed;
  for (let count = 0; count < 100; count++) await askInVain(pair);
  await until("they are freed", () => {
    collectGarbage();
    return pair.client.stats().bufferedBytes === 4;
  });
  assertEquals(memory.reservedBytes, 4);
  assertEquals(await near.read(), utf8("kept"));
});

Deno.test("MuxStream.unread puts bytes in front of those that wait, and the next reads return all of them in order", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await far.write(utf8("abc"));
  await near.read();
  await far.write(utf8("de"));
  await far.closeWrite();
  await until("it waits", () => near.stats().bufferedBytes === 2);
  near.unread(utf8("bc"));
  near.unread(new Uint8Array(0));
  assertEquals([near.stats().bufferedBytes, near.stats().bytesIn], [4, 5]);
  assertEquals(await near.readJoined(3), utf8("bc"));
  assertEquals([await near.read(), await near.read()], [utf8("de"), null]);
});

Deno.test("MuxStream.unread refuses while a read is under way, and drops what comes after a reset", async () => {
  const memory = new MuxMemory();
  await using pair = new MuxPair({ memory });
  const [near, far] = await pair.open();
  await far.write(utf8("abc"));
  const chunk = (await near.read())!;
  const reading = near.read().catch(() => null);
  assertThrows(() => near.unread(chunk), TypeError, "a read is under way");
  near.reset();
  await reading;
  near.unread(chunk);
  assertEquals([near.stats().bufferedBytes, memory.usedBytes], [0, 0]);
});

Deno.test("MuxStream.unread earns the peer no credit twice: what it may send stays within its window", async () => {
  await using pair = new MuxPair({ maxWindowBytes: 262_144 });
  const [near, far] = await pair.open();
  let sent = 0;
  const sending = (async () => {
    for (; sent < 4 << 20; sent += 16_384) {
      await far.write(new Uint8Array(16_384).fill(sent / 16_384));
    }
    await far.closeWrite();
  })();
  let read = 0;
  for (let round = 0;; round++) {
    const chunk = await near.read();
    if (chunk === null) break;
    for (const [index, byte] of chunk.entries()) {
      assert(byte === (((read + index) / 16_384) | 0) % 256);
    }
    // Puts a part back each time, of another size.
    const kept = Math.max(1, chunk.length - (round * 977) % chunk.length);
    near.unread(chunk.subarray(kept));
    read += kept;
    assert(
      near.stats().bytesIn - read <= 262_144 + 65_536,
      "more came than the window and one chunk",
    );
  }
  assertEquals(read, 4 << 20);
  await sending;
});

Deno.test("MuxStream.unread counts as unread: a stream that ends with it is freed when it is dropped", async () => {
  const memory = new MuxMemory();
  await using pair = new MuxPair({ memory });
  const drop = async () => {
    const [near, far] = await pair.open();
    await far.write(utf8("answer"));
    await far.closeWrite();
    await near.closeWrite();
    await near.closed;
    near.unread((await near.read())!);
    assertEquals([near.stats().bufferedBytes, memory.reservedBytes >= 6], [6, true]);
  };
  await drop();
  await until("it is freed", () => {
    collectGarbage();
    return memory.usedBytes === 0 && memory.reservedBytes === 0;
  });
});
