// Draining: what was received is handed over, up to a message boundary; then the iteration ends.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError } from "../../errors.ts";
import { delimited, type Framing, lengthPrefixed, raw, varintPrefixed } from "../../framing.ts";
import { concat, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  receiveAll,
  scriptedConnection,
  settle,
} from "../support/memory_connections.ts";
import { forSeedsAsync } from "../support/random.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection.drain() hands over what was received, and nothing that comes later", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\n"));
  await settle();
  connection.drain();
  assertEquals(connection.state, "draining");
  transport.feed(utf8("three\n"));
  await settle();
  assertEquals((await receiveAll(connection)).map(text), ["one", "two"]);
  transport.feed(utf8("four\n"));
  await settle();
  assertEquals(await connection.receive(), null);
  const closing = connection.close();
  assertEquals(await connection.receive(), null);
  transport.endInput();
  await closing;
  assertEquals(await connection.receive(), null);
});

Deno.test("Connection.drain() waits for the rest of a message that has begun, and gives no other", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\nha"));
  await settle();
  connection.drain();
  const all = receiveAll(connection);
  assert(!(await isSettled(all)));
  transport.feed(utf8("lf"));
  assert(!(await isSettled(all)));
  transport.feed(utf8("\nthree\nfour\n"));
  assertEquals((await all).map(text), ["one", "half"]);
  assertEquals(await connection.receive(), null);
  connection.abort();
});

Deno.test("Connection.drain() ends a wait at once when no message has begun", async () => {
  const { connection } = scriptedConnection(lines);
  const receiving = connection.receive();
  connection.drain();
  assertEquals(await receiving, null);
  connection.abort();
});

Deno.test("Connection.drain() keeps a reader waiting that is inside a message", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const receiving = connection.receive();
  transport.feed(utf8("ha"));
  await settle();
  connection.drain();
  transport.feed(utf8("lf\nmore\n"));
  assertEquals(text((await receiving)!), "half");
  assertEquals(await connection.receive(), null);
  connection.abort();
});

Deno.test("Connection.drain() ends even when the peer never stops sending", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  transport.feed(utf8("message\n".repeat(50)));
  await settle();
  connection.drain();
  let got = 0;
  for await (const _ of connection) {
    got++;
    transport.feed(utf8("more\nmore\n"));
    await settle(1);
    assert(got <= 50, "messages that came later are handed over");
  }
  assertEquals(got, 50);
  assert(transport.unreadBytes > 0, "it reads no further");
  connection.abort();
});

Deno.test("Connection.drain() aborts the draining signal, asked for before or after, and lets sending go on", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const { draining } = connection;
  assert(!draining.aborted);
  assertStrictEquals(connection.draining, draining);
  connection.drain();
  connection.drain();
  assert(draining.aborted);
  assertEquals((draining.reason as ClosedError).code, "ERR_GOING_AWAY");
  assert(connection.draining.aborted);
  await connection.send("goodbye");
  await connection.flush();
  assertEquals(transport.writes.map(text), ["goodbye\n"]);
  connection.abort();

  const late = scriptedConnection(lines).connection;
  late.drain();
  assert(late.draining.aborted);
  late.abort();
});

Deno.test("Connection.drain() throws what cuts the message that it waits for", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("ha"));
  await settle();
  connection.drain();
  const receiving = connection.receive();
  transport.failInput();
  assertEquals((await assertRejects(() => receiving, ClosedError)).code, "ERR_RESET");
});

Deno.test("Connection.drain() keeps its boundary over a change of framing", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\n\x03two\x05th"));
  await settle();
  connection.drain();
  assertEquals(text((await connection.receive())!), "one");
  connection.setFraming(lengthPrefixed({ bytes: 1 }));
  transport.feed(utf8("ree\x04four"));
  assertEquals((await receiveAll(connection)).map(text), ["two", "three"]);
  connection.abort();
});

Deno.test("Connection.drain() cuts at the right message for every framing and every moment", async () => {
  const framings: readonly Framing[] = [
    delimited("\n"),
    delimited("\r\n"),
    lengthPrefixed(),
    lengthPrefixed({ bytes: 1 }),
    varintPrefixed(),
  ];
  await forSeedsAsync(100, async (random) => {
    const framing = random.pick(framings);
    const encoder = framing.encoder({ maxMessageBytes: 100 });
    const frames = Array.from({ length: 12 }, () => {
      const message = random.bytes(random.int(0, 20), utf8("abc"));
      const frame = new Uint8Array(message.length + encoder.maxOverhead);
      const start = encoder.writeHead(message, frame, 0);
      frame.set(message, start);
      return frame.slice(0, encoder.writeTail(message, frame, start + message.length));
    });
    const input = concat(frames);
    const received = random.int(0, input.length);
    const { connection, transport } = scriptedConnection({ framing });
    for (const piece of random.cut(input.slice(0, received), 15)) transport.feed(piece);
    await settle();
    let taken = 0;
    while (random.chance(0.5)) {
      const message = await connection.receive({ timeoutMs: 0 }).catch(() => null);
      if (message !== null) taken++;
    }
    connection.drain();
    const rest = receiveAll(connection);
    for (const piece of random.cut(input.slice(received), 15)) {
      transport.feed(piece);
      if (random.chance(0.3)) await settle(1);
    }
    // All messages of which at least one byte was here.
    let begun = 0;
    for (let at = 0; at < received; at += frames[begun++]!.length);
    assertEquals(taken + (await rest).length, begun);
    connection.abort();
  });
});

Deno.test("Connection.drain() with raw() gives the bytes received before it", async () => {
  const { connection, transport } = scriptedConnection({ framing: raw() });
  transport.feed(utf8("one"));
  await settle();
  connection.drain();
  transport.feed(utf8("two"));
  assertEquals(concat(await receiveAll(connection)), utf8("one"));
  connection.abort();
});

Deno.test("Connection.drain() and a close after it lose no answer", async () => {
  const [a, b] = connectedPair(lines);
  const serving = (async () => {
    for await (const message of b) await b.send(`re ${text(message)}`);
    await b.close();
  })();
  for (let i = 0; i < 10; i++) a.send(`${i}`);
  await a.flush();
  await settle();
  b.drain();
  a.send("too late");
  const answers = (await receiveAll(a)).map(text);
  assertEquals(answers, Array.from({ length: 10 }, (_, i) => `re ${i}`));
  await closeAll(a);
  await serving;
  assertEquals((await b.closed).error, null);
});

Deno.test("Connection.drain() reads one chunk more at most while its handler is busy, and a close throws away what comes", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  const receiving = connection.receive();
  await settle();
  connection.drain();
  assertEquals(await receiving, null);
  for (let count = 0; count < 10; count++) {
    transport.feed(utf8("late\n"));
    await settle(1);
  }
  assertEquals([transport.readBytes, connection.stats().heldBytes], [5, 0], "the read that was under way");
  const closing = connection.close();
  for (let count = 0; count < 10; count++) {
    transport.feed(utf8("late\n"));
    await settle(1);
  }
  const { bytesIn, messagesIn, heldBytes } = connection.stats();
  assertEquals([bytesIn, messagesIn, heldBytes], [100, 0, 0]);
  assertEquals(transport.unreadBytes, 0, "the peer is heard, so that it is not reset");
  transport.endInput();
  await closing;
});
