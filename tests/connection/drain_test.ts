// Draining: what was received is delivered, up to a message boundary; then the iteration ends.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError } from "../../errors.ts";
import {
  chunked,
  delimited,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "../../framing.ts";
import { concat, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  receiveAll,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";
import { ModelTime } from "../support/models/model_time.ts";
import { forSeedsAsync, Random } from "../support/random.ts";

const lines = { framing: delimited("\n") };

/** How long a read waits, in ms, until a draining connection takes it that nothing more has arrived. */
const QUIET_MS = 20;

/** Turns of the event loop in which the platform has looked for new bytes in any case. */
const TURNS = 140;

/** Simulated time for one test. */
function modelTime(): ModelTime {
  return new ModelTime(new Random(1));
}

/** Lets a read wait for so long that nothing can have arrived before. */
async function quiet(time: ModelTime): Promise<void> {
  await time.clock.advance(QUIET_MS);
  await settle(TURNS);
}

Deno.test("Connection.drain() hands over what has arrived until it is quiet, and nothing that comes later", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\n"));
  await settle();
  connection.drain();
  assertEquals(connection.status, "draining");
  transport.feed(utf8("three\n"));
  await settle();
  await time.clock.advance(QUIET_MS - 1);
  transport.feed(utf8("four\n"));
  await quiet(time);
  transport.feed(utf8("five\n"));
  await settle();
  assertEquals((await receiveAll(connection)).map(text), ["one", "two", "three", "four"]);
  transport.feed(utf8("six\n"));
  await settle();
  assertEquals(await connection.receive(), null);
  const closing = connection.close();
  assertEquals(await connection.receive(), null);
  transport.endInput();
  await closing;
  assertEquals(await connection.receive(), null);
  assertEquals(connection.leftBytes, 0);
});

Deno.test("Connection.drain() of a thread that was busy hears what arrived meanwhile", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection(lines);
  const all = receiveAll(connection);
  await settle();
  connection.drain();
  // The time is over before the platform had a turn to look for bytes; then it finds some.
  await time.clock.advance(10 * QUIET_MS);
  await settle(TURNS / 2);
  transport.feed(utf8("question\n"));
  await settle();
  await quiet(time);
  assertEquals((await all).map(text), ["question"]);
  connection.abort();
});

Deno.test("Connection.drain() waits for the rest of a message that has begun, and gives no other", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\nha"));
  await settle();
  connection.drain();
  const all = receiveAll(connection);
  await quiet(time);
  assert(!(await isSettled(all)));
  transport.feed(utf8("lf"));
  await quiet(time);
  assert(!(await isSettled(all)));
  transport.feed(utf8("\nthree\nfour\n"));
  assertEquals((await all).map(text), ["one", "half"]);
  assertEquals(await connection.receive(), null);
  connection.abort();
});

Deno.test("Connection.drain() ends a wait as soon as it is quiet when no message has begun", async () => {
  using time = modelTime();
  const { connection } = scriptedConnection(lines);
  const receiving = connection.receive();
  connection.drain();
  await time.clock.advance(QUIET_MS - 1);
  await settle(TURNS);
  assert(!(await isSettled(receiving)));
  await quiet(time);
  assertEquals(await receiving, null);
  connection.abort();
});

Deno.test("Connection.drain() keeps a reader waiting that is inside a message", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection(lines);
  const receiving = connection.receive();
  transport.feed(utf8("ha"));
  await settle();
  connection.drain();
  await quiet(time);
  transport.feed(utf8("lf\nmore\n"));
  assertEquals(text((await receiving)!), "half");
  assertEquals(await connection.receive(), null);
  connection.abort();
});

Deno.test("Connection.drain() ends after 200 ms of waiting for a peer that never stops asking", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection(lines);
  connection.drain();
  let got = 0;
  const all = (async () => {
    for await (const _ of connection) {
      got++;
      setTimeout(() => transport.feed(utf8("more\n")), 5);
    }
  })();
  transport.feed(utf8("first\n"));
  await time.clock.runUntil(() => false, 1000);
  await settle();
  await all;
  // The one that ended it is answered as well: nothing is on its way then from a peer that waits
  // for each answer.
  assertEquals(got, 200 / 5 + 1);
  await settle();
  assertEquals(connection.leftBytes, 0);
  connection.abort();
});

Deno.test("Connection.drain() ends after 8 MiB of a peer that floods: no more can have arrived before", async () => {
  const { connection, transport } = scriptedConnection({ framing: raw() });
  const chunk = new Uint8Array(65_536);
  const flood = () => transport.feed(chunk);
  flood();
  await settle();
  connection.drain();
  let got = 0;
  for await (const message of connection) {
    got += message.length;
    flood();
  }
  assertEquals(got, 65_536 + 8 * 2 ** 20);
  const closing = connection.close();
  flood();
  await settle();
  assertEquals(connection.leftBytes, 0);
  transport.endInput();
  await closing;
});

Deno.test("Connection.drain() ends after a second of large chunks, and counts what may have arrived before", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection({ framing: raw() });
  let got = 0;
  const all = (async () => {
    for await (const message of connection) got += message.length;
  })();
  await settle();
  connection.drain();
  for (let count = 0; count < 150; count++) {
    await time.clock.advance(10);
    transport.feed(new Uint8Array(8192));
    await settle();
  }
  await all;
  assertEquals(got, 100 * 8192);
  const closing = connection.close();
  await settle();
  assertEquals([transport.unreadBytes, connection.leftBytes], [0, 50 * 8192]);
  transport.endInput();
  await closing;
});

Deno.test("Connection.drain() reads what has arrived at the pace of its reader, however slow that is", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  for (let count = 0; count < 50; count++) transport.feed(utf8(`${"x".repeat(99)}\n`));
  await settle();
  assert(transport.unreadBytes > 3000, "it waits for the reader");
  connection.drain();
  let got = 0;
  const all = (async () => {
    for await (const _ of connection) {
      got++;
      await time.clock.sleep(1000);
    }
  })();
  await time.clock.runUntil(() => got === 50, 60_000);
  await settle();
  await quiet(time);
  await time.clock.advance(1000);
  await all;
  assertEquals([got, transport.unreadBytes], [50, 0]);
  connection.abort();
});

Deno.test("Connection.drain() needs no time when the input has ended", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\n"));
  await settle();
  connection.drain();
  transport.endInput();
  assertEquals((await receiveAll(connection)).map(text), ["one"]);
  await connection.close();
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
  using time = modelTime();
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\n\x03two\x05th"));
  await settle();
  connection.drain();
  await quiet(time);
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
    chunked(),
  ];
  using time = modelTime();
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
    if (random.chance(0.5)) await quiet(time);
    const rest = receiveAll(connection);
    await quiet(time);
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

Deno.test("Connection.drain() with raw() gives the bytes that have arrived", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection({ framing: raw() });
  transport.feed(utf8("one"));
  await settle();
  connection.drain();
  transport.feed(utf8("two"));
  await settle();
  await quiet(time);
  transport.feed(utf8("three".repeat(100)));
  assertEquals(concat(await receiveAll(connection)), utf8("onetwo"));
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
  b.drain();
  a.send("not too late");
  const answers = (await receiveAll(a)).map(text);
  assertEquals(answers, [...Array.from({ length: 10 }, (_, i) => `re ${i}`), "re not too late"]);
  await closeAll(a);
  await serving;
  assertEquals((await b.closed).error, null);
});

Deno.test("Connection.drain() reads one chunk more at most while its handler is busy, and a close throws away what comes", async () => {
  using time = modelTime();
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  const receiving = connection.receive();
  await settle();
  connection.drain();
  await quiet(time);
  assertEquals(await receiving, null);
  for (let count = 0; count < 10; count++) {
    transport.feed(utf8("late\n"));
    await settle(1);
  }
  assertEquals(
    [transport.readBytes, connection.stats().heldBytes],
    [5, 0],
    "the read that was under way",
  );
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
