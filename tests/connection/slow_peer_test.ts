// A slow peer: what counts as progress, what is written to it, and what of all that was written is let go.
import { assert, assertEquals } from "@std/assert";
import { Connection } from "../../connection.ts";
import type { ClosedError } from "../../errors.ts";
import { delimited, raw } from "../../framing.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { Collected } from "../support/collected.ts";
import { concat, text, utf8 } from "../support/bytes.ts";
import { isSettled, scriptedConnection, settle } from "../support/simulation/memory_connections.ts";
import { ManualSweeper } from "../support/simulation/memory_sweeper.ts";

const slow = { framing: raw(), writeTimeoutMs: 1000, highWaterBytes: 2 ** 26 };
const KIB = 1024;

Deno.test("Connection counts what the kernel has taken of a write that is not finished", async () => {
  const { connection, transport, sweeper } = scriptedConnection(slow);
  transport.hold();
  connection.send(new Uint8Array(200 * KIB));
  await settle();
  for (let i = 1; i <= 10; i++) {
    sweeper.advance(900);
    transport.takenBytes = i * KIB;
  }
  assertEquals([connection.status, connection.stats().queuedBytes], ["open", 190 * KIB]);
  sweeper.advance(1100);
  const { error, unsentBytes } = await connection.closed;
  assertEquals([(error as ClosedError).code, unsentBytes], ["ERR_SLOW_CONSUMER", 190 * KIB]);
});

Deno.test("Connection counts what leaves the kernel while a write waits, where the system tells", async () => {
  const { connection, transport, sweeper } = scriptedConnection(slow);
  transport.hold();
  transport.kernelBytes = 4000 * KIB;
  connection.send(new Uint8Array(200 * KIB));
  await settle();
  // A peer that reads 57 kB/s from 4 MB that the kernel holds: no write ends for more than 20 s.
  for (let i = 0; i < 300; i++) {
    sweeper.advance(100);
    transport.kernelBytes -= 6 * KIB;
  }
  assertEquals(connection.status, "open");
  // Now it takes no more. What it took since the kernel was last asked counts, once.
  sweeper.advance(1300);
  sweeper.advance(1100);
  assertEquals(((await connection.closed).error as ClosedError).code, "ERR_SLOW_CONSUMER");
});

Deno.test("Connection cuts a peer whose kernel takes nothing, whatever the system tells", async () => {
  const { connection, transport, sweeper } = scriptedConnection(slow);
  transport.hold();
  transport.kernelBytes = 4000 * KIB;
  connection.send(new Uint8Array(200 * KIB));
  await settle();
  sweeper.advance(1000);
  assert(!(await isSettled(connection.closed)));
  sweeper.advance(200);
  assertEquals(((await connection.closed).error as ClosedError).code, "ERR_SLOW_CONSUMER");
});

Deno.test("Connection writes less at once to a peer that is slow, until all is sent", async () => {
  const { connection, transport, sweeper } = scriptedConnection(slow);
  transport.hold();
  const message = crypto.getRandomValues(new Uint8Array(64 * KIB));
  const sent = new Uint8Array(640 * KIB);
  for (let at = 0; at < sent.length; at += message.length) sent.set(message, at);
  connection.send(sent);
  await settle();
  assertEquals(transport.writes.map(({ length }) => length / KIB), [256]);
  sweeper.advance(400);
  while (connection.stats().queuedBytes > 0) {
    transport.release();
    await settle(1);
  }
  const sizes = transport.writes.map(({ length }) => length / KIB);
  assertEquals(sizes, [256, ...Array(24).fill(16)]);
  assertEquals(concat(transport.writes), sent);
  connection.send(sent);
  await settle();
  assertEquals(transport.writes.at(-1)!.length / KIB, 256, "a new start");
  connection.abort();
});

Deno.test("Connection writes the joined messages to a slow peer in order, and gives each buffer back once", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...slow,
    framing: delimited("\n"),
  });
  transport.hold();
  let wanted = "";
  const send = (count: number) => {
    for (let i = 0; i < count; i++) {
      const line = `${wanted.length} ${"x".repeat(i % 700)}`;
      wanted += line + "\n";
      connection.send(line);
    }
  };
  send(400);
  await settle();
  sweeper.advance(400);
  send(400);
  while (connection.stats().queuedBytes > 0) {
    transport.release();
    send(wanted.length < 500_000 ? 50 : 0);
    await settle(1);
  }
  assertEquals(text(concat(transport.writes)), wanted);
  assert(transport.writes.slice(1).every(({ length }) => length <= 16 * KIB));
  connection.abort();
});

// Few: each is let go at once. Many: so it stays, in a long life.
for (const messages of [40, 400]) {
  Deno.test(`Connection lets go of what was written although its queue is never empty: ${messages} messages`, async () => {
    const [near, far] = memoryPair({ bufferBytes: 1 });
    const connection = new Connection(near, { framing: raw(), sweeper: new ManualSweeper() });
    const size = 256 * KIB;
    const collected = new Collected();
    const send = () => {
      const message = new Uint8Array(size);
      collected.watch(message.buffer);
      return connection.send(message);
    };
    for (let i = 0; i < 3; i++) void send();
    // Two are always waiting behind the one that is read.
    for (let i = 0; i < messages; i++) {
      for (let left = size; left > 0;) left -= (await far.read())!.length;
      void send();
    }
    // A queue that holds on to what it has written lets go of none; the collector may leave some for later.
    const wanted = messages / 2;
    assert(
      await collected.reached(wanted) >= wanted,
      `${collected.count} of ${messages} were let go`,
    );
    connection.abort();
    far.close();
  });
}

Deno.test("Connection is not idle, and its peer not silent, while it is closed in order", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...slow,
    idleTimeoutMs: 100,
    receiveTimeoutMs: 100,
  });
  connection.send(utf8("the last word"));
  const closing = connection.close();
  await settle();
  assert(transport.writeEnded);
  sweeper.advance(900);
  transport.endInput();
  await closing;
  assertEquals(await connection.closed, { error: null, unsentBytes: 0 });
  assert(!transport.unsigned);
});
