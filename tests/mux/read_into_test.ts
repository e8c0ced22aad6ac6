// MuxStream.readInto(): into the reader's memory, without loss and without touching what others hold.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TimeoutError } from "../../errors.ts";
import { INITIAL_WINDOW_BYTES, MuxSession, type MuxStream } from "../../mux/mod.ts";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { utf8 } from "../support/bytes.ts";
import { MuxPair } from "../support/peers/mux_pair.ts";
import { settle } from "../support/simulation/test_clock.ts";

async function tcpPair(): Promise<[Transport, Transport]> {
  const { signal } = new AbortController();
  const listener = await listen({ port: 0 });
  if (listener.addr.transport !== "tcp") throw new TypeError("Not a TCP listener");
  const [near, incoming] = await Promise.all([
    dial({ port: listener.addr.port }, { signal }),
    listener.accept(),
  ]);
  listener.close();
  return [near, await incoming!.open({ signal })];
}

function pattern(seed: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).map((_, index) => index * 31 ^ index >> 8 ^ seed);
}

async function send(stream: MuxStream, bytes: Uint8Array): Promise<void> {
  for (
    let offset = 0, size = 1;
    offset < bytes.length;
    offset += size, size = size * 3 % 70_001 + 1
  ) {
    await stream.write(bytes.subarray(offset, offset + size));
  }
  await stream.closeWrite();
}

/** Reads by both calls in turn, with bytes put back, and keeps every chunk that it got to the end. */
async function receive(stream: MuxStream): Promise<Uint8Array<ArrayBuffer>> {
  const kept: Uint8Array[] = [];
  const memory = new Uint8Array(10_007);
  for (let turn = 0;; turn++) {
    if (turn % 3 === 0) {
      const chunk = await stream.read();
      if (chunk === null) break;
      const half = turn % 2 === 0 ? chunk.length : chunk.length >> 1;
      kept.push(chunk.subarray(0, half));
      stream.unread(chunk.subarray(half));
      continue;
    }
    const count = await stream.readInto(memory);
    if (count === null) break;
    assert(count > 0 && count <= memory.length);
    kept.push(memory.slice(0, count));
  }
  await stream.closeWrite();
  return new Uint8Array(await new Blob(kept as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

for (const [name, pair] of [["memory", () => memoryPair()], ["TCP", tcpPair]] as const) {
  Deno.test(`MuxStream.readInto() beside read() over ${name}, and no chunk that is held changes`, async () => {
    const [left, right] = await pair();
    const client = new MuxSession(left, { role: "client" });
    const server = new MuxSession(right, { role: "server" });
    await Promise.all(Array.from({ length: 4 }, async (_, seed) => {
      const all = pattern(seed, 1 << 20);
      const near = await client.openStream();
      const far = await server.acceptStream();
      const [got] = await Promise.all([receive(far!), send(near, all)]);
      // Which stream of the four it is shows in its first byte.
      const wanted = pattern(got[0]!, 1 << 20);
      assertEquals([got.length, got.findIndex((byte, at) => byte !== wanted[at])], [1 << 20, -1]);
      assertEquals(await near.read(), null);
    }));
    assertEquals(server.stats().bufferedBytes, 0);
    await client.close();
    await server.closed;
  });
}

Deno.test("MuxStream.readInto() takes what fits, and the rest comes next", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const memory = new Uint8Array(4);
  const waiting = far.readInto(memory);
  await near.write(utf8("abcdefghij"));
  assertEquals([await waiting, memory.slice()], [4, utf8("abcd")]);
  assertEquals([await far.readInto(memory), memory.slice()], [4, utf8("efgh")]);
  // What comes now joins the open end of what waits.
  await near.write(utf8("kl"));
  await near.closeWrite();
  await settle();
  assertEquals(await far.read(), utf8("ij"));
  assertEquals([await far.readInto(memory), memory.slice(0, 2)], [2, utf8("kl")]);
  assertEquals(await far.readInto(memory), null);
  await far.close();
});

Deno.test("MuxStream.readInto() gives credit back for what it took", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  let isDone = false;
  const writing = near.write(new Uint8Array(INITIAL_WINDOW_BYTES + 1)).then(() => isDone = true);
  await settle();
  const memory = new Uint8Array(1000);
  for (let taken = 0; taken < INITIAL_WINDOW_BYTES / 2 - 1000;) {
    taken += (await far.readInto(memory))!;
  }
  assertEquals(isDone, false);
  for (let turn = 0; turn < 2; turn++) await far.readInto(memory);
  await writing;
  far.reset();
});

Deno.test("MuxStream.readInto() refuses memory without room, and a second reader", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  assertThrows(() => far.readInto(new Uint8Array(0)), RangeError, "has no room");
  const first = far.readInto(new Uint8Array(8));
  await assertRejects(() => far.readInto(new Uint8Array(8)), TypeError, "another read");
  await assertRejects(() => far.read(), TypeError, "another read");
  await near.write(utf8("x"));
  assertEquals(await first, 1);
  far.reset();
});

Deno.test("MuxStream.readInto() that ends early loses nothing", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const memory = new Uint8Array(8);
  await assertRejects(() => far.readInto(memory, { timeoutMs: 1 }), TimeoutError);
  const aborting = new AbortController();
  const waiting = far.readInto(memory, { signal: aborting.signal });
  aborting.abort("enough");
  assertEquals(await waiting.catch((error) => error), "enough");
  await near.write(utf8("later"));
  await settle();
  assertEquals([await far.readInto(memory), memory.slice(0, 5)], [5, utf8("later")]);
  far.reset();
});

Deno.test("MuxStream.readInto() rejects when its memory was transferred, and the session goes on", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const memory = new Uint8Array(8);
  const waiting = assertRejects(() => far.readInto(memory), TypeError, "was transferred");
  memory.buffer.transfer();
  await near.write(utf8("still here"));
  await waiting;
  assertEquals(await far.read(), utf8("still here"));
  far.reset();
});
