// Tests of the budgets: flood guard, memory, receive buffer, stream ids, streams that were reset.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../errors.ts";
import { FloodGuard } from "../../mux/flood.ts";
import { MuxMemory } from "../../mux/memory.ts";
import { ReceiveBuffer } from "../../mux/receive_buffer.ts";
import { RecentlyReset } from "../../mux/late_frames.ts";
import { PeerIds } from "../../mux/peer_ids.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const LIMITS = {
  maxResets: 3,
  maxResetsPerSecond: 1,
  maxPingsPer10s: 10,
  maxEmptyFrames: 2,
  maxDeadFrames: 20,
};

function assertFlood(call: () => void): void {
  assertEquals(assertThrows(call, ProtocolError).code, "ERR_MUX_FLOOD");
}

Deno.test("FloodGuard allows each kind up to its limit, refuses one more, and forgets with time", () => {
  for (const [kind, limit] of [["reset", 3], ["ping", 10], ["deadFrame", 20]] as const) {
    const guard = new FloodGuard(LIMITS, 0);
    for (let count = 0; count < limit; count++) guard[kind](0);
    assertFlood(() => guard[kind](0));
    guard[kind](60_000);
  }
});

Deno.test("FloodGuard counts empty frames in a row only", () => {
  const guard = new FloodGuard(LIMITS, 0);
  for (let round = 0; round < 10; round++) {
    guard.emptyFrame();
    guard.emptyFrame();
    guard.usefulFrame();
  }
  guard.emptyFrame();
  guard.emptyFrame();
  assertFlood(() => guard.emptyFrame());
});

Deno.test("FloodGuard takes a stream that ended in order for a sign of work", () => {
  const guard = new FloodGuard(LIMITS, 0);
  for (let round = 0; round < 10; round++) {
    for (let count = 0; count < 3; count++) guard.reset(0);
    guard.streamEnded();
  }
  for (let count = 0; count < 20; count++) guard.deadFrame(0);
  guard.streamEnded();
  for (let count = 0; count < 4; count++) guard.deadFrame(0);
  assertFlood(() => guard.deadFrame(0));
});

Deno.test("MuxMemory refuses a session more than its own budget, and what is left over more than is free", () => {
  const memory = new MuxMemory({ maxBytes: 8 * MIB });
  const [one, two, three] = [memory.open(MIB), memory.open(100 * MIB), memory.open(100 * MIB)];
  assertEquals([one.reserve(MIB - 1), one.reserve(1), one.reserve(1)], [true, true, false]);
  assertEquals(
    [two.reserve(8 * MIB), two.reserve(4 * MIB)],
    [false, true],
    "as much as is left free, at most",
  );
  assertEquals(two.reserve(MIB), false, "two holds 4 MiB, 3 MiB are free");
  assertEquals([three.reserve(3 * MIB), memory.reservedBytes], [true, 8 * MIB]);
});

Deno.test("MuxMemory leaves every session what it is guaranteed, however much the others hold", () => {
  const memory = new MuxMemory({ maxBytes: MIB });
  for (let hoarder = 0; hoarder < 10; hoarder++) {
    const account = memory.open(100 * MIB);
    while (account.reserve(KIB));
  }
  const late = memory.open(100 * MIB);
  assertEquals([late.reserve(512 * KIB), late.reserve(1)], [true, false]);
  assert(memory.reservedBytes <= MIB + 11 * 512 * KIB);
});

Deno.test("MuxMemory lets windows grow within half of either budget and takes growth back", () => {
  const memory = new MuxMemory({ maxBytes: 4 * MIB });
  const [one, two] = [memory.open(MIB), memory.open(100 * MIB)];
  assertEquals([one.grow(MIB / 2), one.grow(1)], [true, false]);
  assertEquals(
    [two.grow(MIB), two.grow(MIB / 2)],
    [false, true],
    "half of what is left for growth",
  );
  one.release(MIB / 2, MIB / 2);
  assertEquals([two.grow(1), memory.grownBytes, memory.reservedBytes], [
    true,
    MIB / 2 + 1,
    MIB / 2 + 1,
  ]);
});

Deno.test("MuxMemory gets everything back when a session closes, and counts nothing of it after", () => {
  const memory = new MuxMemory({ maxBytes: MIB });
  const account = memory.open(MIB);
  account.reserve(400);
  account.hold(400);
  account.grow(200);
  assertEquals([memory.usedBytes, memory.reservedBytes, memory.grownBytes], [400, 600, 200]);
  account.close();
  account.free(400);
  account.release(600, 200);
  account.hold(10);
  assertEquals([memory.usedBytes, memory.reservedBytes, memory.grownBytes], [0, 0, 0]);
  assertEquals([account.grow(1), account.reserve(1)], [false, false]);
});

Deno.test("MuxMemory refuses a budget of nothing", () => {
  assertThrows(() => new MuxMemory({ maxBytes: 0 }), RangeError, '"maxBytes" must be at least 1');
});

Deno.test("ReceiveBuffer gives back what came, in order, whatever the sizes", () => {
  const buffer = new ReceiveBuffer();
  const source = new Uint8Array(65536).map((_, index) => index * 7);
  const out: number[] = [];
  let offset = 0;
  for (const size of [1, 2, 300, 16372, 5, 9000, 20000, 1, 1, 700, 8192, 3]) {
    buffer.push(source.subarray(offset, offset + size));
    offset += size;
    assertEquals(buffer.bytes, offset - out.length);
    if (size % 2 === 1) out.push(...buffer.shift() ?? []);
  }
  for (let chunk = buffer.shift(); chunk !== undefined; chunk = buffer.shift()) out.push(...chunk);
  assertEquals(new Uint8Array(out), source.subarray(0, offset));
  assertEquals(buffer.bytes, 0);
});

Deno.test("ReceiveBuffer never overwrites a chunk that it has given out", () => {
  const buffer = new ReceiveBuffer();
  const source = new Uint8Array(65536).fill(1);
  buffer.push(source.subarray(0, 10));
  buffer.push(source.subarray(0, 10));
  const first = buffer.shift();
  buffer.push(new Uint8Array(65536).fill(2).subarray(0, 10));
  assertEquals(first, new Uint8Array(20).fill(1));
  assertEquals(buffer.shift(), new Uint8Array(10).fill(2));
});

Deno.test("ReceiveBuffer does not keep a large read alive for a few bytes", () => {
  const buffer = new ReceiveBuffer();
  let held = 0;
  for (let count = 0; count < 1000; count++) buffer.push(new Uint8Array(65536).subarray(0, 1));
  for (let chunk = buffer.shift(); chunk !== undefined; chunk = buffer.shift()) {
    held += chunk.buffer.byteLength;
  }
  assert(held <= 4096, `1000 bytes cost ${held}`);
});

Deno.test("PeerIds takes each id once, and of the peer's parity", () => {
  const ids = new PeerIds("server");
  ids.take(1);
  ids.take(7);
  for (const id of [2, 7, 1]) {
    assertEquals(assertThrows(() => ids.take(id), ProtocolError).code, "ERR_MUX_STREAM_ID");
  }
  ids.take(9);
  assertEquals([1, 3, 9, 11, 2].map((id) => ids.wasUsed(id)), [true, false, true, false, false]);
});

Deno.test("PeerIds takes a skipped id once, and none that is too far behind", () => {
  const ids = new PeerIds("client");
  ids.take(6);
  assertEquals([ids.wasUsed(2), ids.wasUsed(6)], [false, true]);
  ids.take(2);
  assertThrows(() => ids.take(2), ProtocolError);
  ids.take(4);
  ids.take(100_000);
  ids.take(99_998);
  ids.take(100_000 - 2 * 1024);
  assertThrows(() => ids.take(100_000 - 2 * 1025), ProtocolError);
});

Deno.test("RecentlyReset remembers what may still come, and only so many streams", () => {
  const recentlyReset = new RecentlyReset();
  recentlyReset.add(1, 100);
  assertEquals(recentlyReset.take(1, 60), true);
  assertEquals([recentlyReset.bytesLeft(1), recentlyReset.bytesLeft(3), recentlyReset.take(3, 1)], [
    40,
    undefined,
    false,
  ]);
  for (let count = 0; count < 64; count++) assertEquals(recentlyReset.take(1, 0), true);
  assertEquals(
    recentlyReset.take(1, 0),
    false,
    "more window updates than can have been on their way",
  );
  recentlyReset.forget(1);
  assertEquals(recentlyReset.bytesLeft(1), undefined);
  for (let id = 3; id < 3 + 2 * 8193; id += 2) recentlyReset.add(id, 1);
  assertEquals([recentlyReset.bytesLeft(3), recentlyReset.bytesLeft(5)], [undefined, 1]);
});
