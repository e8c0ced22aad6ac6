// Tests of the budgets: flood guard, memory, receive buffer, stream ids, graves.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../errors.ts";
import { FloodGuard, TokenBucket } from "../../mux/flood.ts";
import { MuxMemory } from "../../mux/memory.ts";
import { ReceiveBuffer } from "../../mux/receive_buffer.ts";
import { Graves, PeerIds } from "../../mux/stream_table.ts";

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

Deno.test("TokenBucket gives its capacity at once and then its rate", () => {
  const bucket = new TokenBucket(2, 10, 0);
  assertEquals([bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, false]);
  assertEquals([bucket.take(99), bucket.take(100), bucket.take(100)], [false, true, false]);
  assertEquals([bucket.take(10_000), bucket.take(10_000), bucket.take(10_000)], [true, true, false]);
});

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

Deno.test("MuxMemory sheds in the session that is over its own budget", () => {
  const memory = new MuxMemory({ maxBytes: 1000 });
  let sheds = 0;
  const account = memory.open(100, () => {
    sheds += 1;
    account.free(60);
  });
  account.hold(100);
  assertEquals([sheds, account.usedBytes, memory.usedBytes], [0, 100, 100]);
  account.hold(1);
  assertEquals([sheds, account.usedBytes, memory.usedBytes], [1, 41, 41]);
});

Deno.test("MuxMemory sheds in the session that holds most when all together are over", () => {
  const memory = new MuxMemory({ maxBytes: 100 });
  const shed: string[] = [];
  const large = memory.open(1000, () => (shed.push("large"), large.free(50)));
  const small = memory.open(1000, () => (shed.push("small"), small.free(5)));
  large.hold(90);
  small.hold(11);
  assertEquals(shed, ["large"]);
  assertEquals(memory.usedBytes, 51);
});

Deno.test("MuxMemory lets windows grow within half of either budget and takes growth back", () => {
  const memory = new MuxMemory({ maxBytes: 100 });
  const [one, two] = [memory.open(60, () => {}), memory.open(1000, () => {})];
  assertEquals([one.grow(30), one.grow(1)], [true, false]);
  assertEquals([two.grow(20), two.grow(1)], [true, false]);
  one.shrink(30);
  assertEquals([two.grow(30), memory.grownBytes], [true, 50]);
});

Deno.test("MuxMemory gets everything back when a session closes, and counts nothing of it after", () => {
  const memory = new MuxMemory({ maxBytes: 100 });
  const account = memory.open(60, () => {});
  account.hold(40);
  account.grow(20);
  account.close();
  account.free(40);
  account.shrink(20);
  account.hold(10);
  assertEquals([memory.usedBytes, memory.grownBytes, account.grow(1)], [0, 0, false]);
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

Deno.test("PeerIds takes ids upward, once, and of the peer's parity", () => {
  const ids = new PeerIds("server", false);
  ids.take(1);
  ids.take(7);
  for (const id of [2, 7, 5, 1]) {
    assertEquals(assertThrows(() => ids.take(id), ProtocolError).code, "ERR_MUX_STREAM_ID");
  }
  ids.take(9);
  assertEquals([1, 3, 9, 11, 2].map((id) => ids.wasUsed(id)), [true, true, true, false, false]);
});

Deno.test("PeerIds takes a skipped id once when reordering is allowed, and none that is too far behind", () => {
  const ids = new PeerIds("client", true);
  ids.take(6);
  assertEquals([ids.wasUsed(2), ids.wasUsed(6)], [false, true]);
  ids.take(2);
  assertThrows(() => ids.take(2), ProtocolError);
  ids.take(4);
  ids.take(100_000);
  ids.take(99_998);
  assertThrows(() => ids.take(8), ProtocolError);
});

Deno.test("Graves remember what may still come, and only so many streams", () => {
  const graves = new Graves();
  graves.add(1, 100);
  graves.take(1, 60);
  assertEquals([graves.bytesLeft(1), graves.bytesLeft(3)], [40, undefined]);
  graves.forget(1);
  assertEquals(graves.bytesLeft(1), undefined);
  for (let id = 3; id < 3 + 2 * 1025; id += 2) graves.add(id, 1);
  assertEquals([graves.bytesLeft(3), graves.bytesLeft(5)], [undefined, 1]);
});
