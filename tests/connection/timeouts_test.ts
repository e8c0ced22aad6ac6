// Timeouts: a peer that takes nothing, a message that does not end, a connection that is idle.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type ClosedError, TimeoutError } from "../../errors.ts";
import { delimited, raw } from "../../framing.ts";
import { text, utf8 } from "../support/bytes.ts";
import { isSettled, scriptedConnection, settle } from "../support/simulation/memory_connections.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection ends with ERR_SLOW_CONSUMER when its peer takes nothing for writeTimeoutMs", async () => {
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, writeTimeoutMs: 1000 });
  transport.hold();
  connection.send("one");
  const flushing = connection.flush();
  const receiving = connection.receive();
  sweeper.advance(1000);
  assert(!(await isSettled(connection.closed)));
  // The first sweep saw it at 100 ms.
  sweeper.advance(100);
  const { error, unsentBytes } = await connection.closed;
  assertEquals([(error as ClosedError).code, unsentBytes], ["ERR_SLOW_CONSUMER", 4]);
  assertEquals((error as ClosedError).unsentBytes, 4);
  for (const pending of [flushing, receiving]) {
    assertStrictEquals(await pending.catch((why) => why), error);
  }
  assert(transport.closed);
});

Deno.test("Connection gives a peer that takes something in time all the time it needs", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    framing: raw(),
    writeTimeoutMs: 1000,
  });
  transport.hold();
  const bytes = 2 ** 20;
  connection.send(new Uint8Array(bytes));
  while (connection.stats().queuedBytes > 0) {
    sweeper.advance(900);
    transport.release();
    await settle();
  }
  assertEquals(connection.stats().bytesOut, bytes);
  sweeper.advance(10_000);
  assert(!(await isSettled(connection.closed)));
  connection.abort();
});

Deno.test("Connection starts the time of each write anew", async () => {
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, writeTimeoutMs: 1000 });
  for (let i = 0; i < 5; i++) {
    transport.hold();
    connection.send("one");
    await settle();
    sweeper.advance(700);
    transport.releaseAll();
    await settle();
    sweeper.advance(700);
  }
  assert(!(await isSettled(connection.closed)));
  connection.abort();
});

Deno.test("Connection ends with ERR_READ_TIMEOUT when a message that has begun does not end in messageTimeoutMs", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    messageTimeoutMs: 1000,
  });
  transport.feed(utf8("one\nh"));
  assertEquals(text((await connection.receive())!), "one");
  const receiving = connection.receive();
  connection.send("goodbye");
  // One byte now and then does not help.
  for (let i = 0; i < 12; i++) {
    await settle();
    assert(!(await isSettled(receiving)) || i >= 10);
    transport.feed(utf8("x"));
    sweeper.advance(100);
  }
  const error = await assertRejects(() => receiving, TimeoutError, "within 1000 ms");
  assertEquals(error.code, "ERR_READ_TIMEOUT");
  assertEquals(transport.writes.map(text), ["goodbye\n"]);
  await settle();
  assert(transport.writeEnded, "what was sent is handed over in order");
  transport.endInput();
  assertEquals(await connection.closed, { error, unsentBytes: 0 });
});

Deno.test("Connection does not blame the peer for a message that nobody waits for", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    messageTimeoutMs: 1000,
  });
  transport.feed(utf8("one\ntwo\nhalf"));
  await settle();
  sweeper.advance(5000);
  assertEquals(text((await connection.receive())!), "one");
  sweeper.advance(5000);
  assertEquals(text((await connection.receive())!), "two");
  const receiving = connection.receive();
  sweeper.advance(900);
  transport.feed(utf8(" done\n"));
  assertEquals(text((await receiving)!), "half done");
  assertEquals(connection.status, "open");
  connection.abort();
});

Deno.test("Connection waits for a message that has not begun for as long as it takes", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    messageTimeoutMs: 1000,
  });
  const receiving = connection.receive();
  sweeper.advance(10_000);
  assert(!(await isSettled(receiving)));
  transport.feed(utf8("one\n"));
  assertEquals(text((await receiving)!), "one");
  connection.abort();
});

Deno.test("Connection lets messages that end in time follow each other without a pause", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    messageTimeoutMs: 1000,
  });
  for (let i = 0; i < 20; i++) {
    const receiving = connection.receive();
    transport.feed(utf8(`${i}`));
    await settle(1);
    sweeper.advance(600);
    transport.feed(utf8(`\nx`));
    assertEquals(text((await receiving)!).replaceAll("x", ""), `${i}`);
  }
  connection.abort();
});

Deno.test("Connection with messageTimeoutMs 0 waits for the rest of a message for ever", async () => {
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, messageTimeoutMs: 0 });
  const receiving = connection.receive();
  transport.feed(utf8("half"));
  await settle();
  sweeper.advance(10_000_000, 100_000);
  transport.feed(utf8("\n"));
  assertEquals(text((await receiving)!), "half");
  connection.abort();
});

Deno.test("Connection closes in order with ERR_IDLE_TIMEOUT when nothing moves for idleTimeoutMs", async () => {
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, idleTimeoutMs: 1000 });
  const receiving = connection.receive();
  sweeper.advance(900);
  transport.feed(utf8("h"));
  await settle();
  sweeper.advance(900);
  connection.send("one");
  await connection.flush();
  sweeper.advance(1000);
  assert(!(await isSettled(receiving)));
  sweeper.advance(200);
  const error = await assertRejects(
    () => receiving,
    TimeoutError,
    "nothing moved on it for 1000 ms",
  );
  assertEquals(error.code, "ERR_IDLE_TIMEOUT");
  await settle();
  assert(transport.writeEnded);
  transport.endInput();
  assertEquals(await connection.closed, { error, unsentBytes: 0 });
});

Deno.test("Connection is not idle while as much comes as goes", async () => {
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, idleTimeoutMs: 1000 });
  for (let i = 0; i < 5; i++) {
    transport.feed(utf8("one\n"));
    await connection.send((await connection.receive())!);
    await connection.flush();
    sweeper.advance(900);
  }
  assertEquals(connection.status, "open");
  connection.abort();
});

Deno.test("Connection that was idle reads and drops what its peer still sends, so that its last words arrive", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    idleTimeoutMs: 1000,
    readAheadBytes: 1024,
  });
  for (let i = 0; i < 5; i++) transport.feed(utf8("x".repeat(999) + "\n"));
  await settle();
  assertEquals(transport.unreadBytes, 3000);
  sweeper.advance(1200);
  await settle();
  assertEquals([transport.unreadBytes, transport.writeEnded, transport.closed], [0, true, false]);
  transport.endInput();
  const { error } = await connection.closed;
  assertEquals((error as TimeoutError).code, "ERR_IDLE_TIMEOUT");
  // What had been received is delivered before the error.
  assertEquals((await connection.receive())!.length, 999);
  assertEquals((await connection.receive())!.length, 999);
  assertStrictEquals(await connection.receive().catch((why) => why), error);
});

Deno.test("Connection is not idle while a write is under way", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    idleTimeoutMs: 1000,
    writeTimeoutMs: 60_000,
  });
  transport.hold();
  connection.send("one");
  await settle();
  sweeper.advance(5000);
  assertEquals(connection.status, "open");
  transport.releaseAll();
  await settle();
  sweeper.advance(900);
  assertEquals(connection.status, "open");
  connection.abort();
});

Deno.test("Connection is not idle by default", async () => {
  const { connection, sweeper } = scriptedConnection(lines);
  sweeper.advance(1e9, 1e8);
  assertEquals(connection.status, "open");
  await settle();
  connection.abort();
});

Deno.test("Connection.stats() tells for how long nothing has moved, by the sweeper's clock", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    idleTimeoutMs: 10_000,
  });
  sweeper.advance(3000);
  assert(connection.stats().idleMs >= 2900 && connection.stats().idleMs <= 3000);
  transport.feed(utf8("x"));
  await settle();
  assertEquals(connection.stats().idleMs, 0);
  sweeper.advance(500);
  assertEquals(connection.stats().idleMs, 500);
  connection.abort();
});
