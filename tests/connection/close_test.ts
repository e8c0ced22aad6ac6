// Ends: in order, at once, half, and by the peer; every pending promise settles.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Connection } from "../../connection.ts";
import { ClosedError, FramingError, TimeoutError } from "../../errors.ts";
import { delimited, raw } from "../../framing.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { pattern, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  receiveAll,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection.close() hands over what was sent, ends its direction, waits for the peer's, then frees", async () => {
  const { connection, transport, sweeper } = scriptedConnection(lines);
  assertEquals(sweeper.size, 1);
  transport.hold();
  connection.send("one");
  connection.send("two");
  const closing = connection.close();
  assertEquals(connection.status, "closing");
  await settle();
  assertEquals(transport.writes.map(text), ["one\ntwo\n"]);
  assert(!transport.writeEnded, "the write is not finished");
  transport.releaseAll();
  await settle();
  assert(transport.writeEnded);
  assert(!transport.closed, "the peer may still read, and has not ended");
  assert(!(await isSettled(closing)));
  transport.endInput();
  await closing;
  assert(transport.closed);
  assertEquals(connection.status, "closed");
  assertEquals(await connection.closed, { error: null, unsentBytes: 0 });
  assertEquals(sweeper.size, 0);
});

Deno.test("Connection.close() called again gives the same promise, before and after the end", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const first = connection.close();
  assertStrictEquals(connection.close(), first);
  assertStrictEquals(connection[Symbol.asyncDispose](), first);
  transport.endInput();
  await first;
  assertStrictEquals(connection.close(), first);
  connection.abort("too late");
  assertEquals((await connection.closed).error, null);
  assertEquals(connection.stats().errorCode, null);
});

Deno.test("Connection.close() leaves messages received before it readable, then gives the end", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\nhalf"));
  await settle();
  const closing = connection.close();
  transport.feed(utf8(" and more\nthree\n"));
  transport.endInput();
  await closing;
  assertEquals((await receiveAll(connection)).map(text), ["one", "two"]);
  assertEquals(await connection.receive(), null);
});

Deno.test("Connection.close() gives a waiting reader the end, also inside a message", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("half"));
  const receiving = connection.receive();
  await settle();
  const closing = connection.close();
  assert(await isSettled(receiving), "at once, not when the peer has ended");
  assertEquals(await receiving, null);
  transport.endInput();
  await closing;
});

Deno.test("Connection.close() reads and drops what a peer still sends, however much that is", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  for (let i = 0; i < 100; i++) transport.feed(pattern(1000));
  await settle();
  assert(transport.unreadBytes > 0);
  const closing = connection.close();
  await settle();
  assertEquals(transport.unreadBytes, 0);
  assert(connection.stats().heldBytes < 3000);
  transport.endInput();
  await closing;
});

Deno.test("Connection.close() of two ends at once takes no time", async () => {
  const [a, b] = connectedPair(lines);
  a.send("from a");
  b.send("from b");
  await closeAll(a, b);
  assertEquals(await a.closed, { error: null, unsentBytes: 0 });
  assertEquals(await b.closed, { error: null, unsentBytes: 0 });
  assertEquals(a.stats().bytesOut, 7);
});

Deno.test("Connection.close() cuts a peer that takes nothing, after closeTimeoutMs", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, closeTimeoutMs: 20 });
  transport.hold();
  connection.send("one");
  const flushing = connection.flush();
  const error = await assertRejects(() => connection.close(), TimeoutError, "within 20 ms");
  assertEquals([error.code, error.cutConnections, error.cutBytes], ["ERR_WRITE_TIMEOUT", 1, 4]);
  assertEquals(await connection.closed, { error, unsentBytes: 4 });
  assertStrictEquals(await flushing.catch((why) => why), error);
  assert(transport.closed);
});

Deno.test("Connection.close() does not wait for ever for a peer that never ends", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, closeTimeoutMs: 20 });
  connection.send("one");
  await connection.close();
  assertEquals(transport.writes.map(text), ["one\n"]);
  assertEquals(await connection.closed, { error: null, unsentBytes: 0 });
});

Deno.test("Connection.close() rejects when the peer vanished before it had all, also afterwards", async () => {
  for (const when of ["before", "after"]) {
    const { connection, transport } = scriptedConnection(lines);
    transport.hold();
    connection.send("one");
    const early = when === "before" ? connection.close() : undefined;
    await settle();
    transport.failInput();
    transport.failWrites();
    await connection.closed;
    const error = await assertRejects(() => early ?? connection.close(), ClosedError);
    assertEquals(error.code, "ERR_RESET");
    assertEquals((await connection.closed).unsentBytes, 4);
  }
});

Deno.test("Connection.close() resolves when the peer resets after it had all", async () => {
  const { connection, transport } = scriptedConnection(lines);
  connection.send("one");
  const closing = connection.close();
  await settle();
  transport.failInput();
  await closing;
  const { error, unsentBytes } = await connection.closed;
  assertEquals([(error as ClosedError).code, unsentBytes], ["ERR_RESET", 0]);
});

Deno.test("Connection.closeWrite() ends our direction after what was sent; receiving goes on", async () => {
  const [a, b] = connectedPair(lines);
  a.send("question");
  const ended = a.closeWrite();
  assertStrictEquals(a.closeWrite(), ended);
  assertEquals((await receiveAll(b)).map(text), ["question"]);
  await ended;
  await b.send("answer");
  assertEquals(text((await a.receive())!), "answer");
  assertEquals(a.status, "open");
  await closeAll(a, b);
  await a.closeWrite();
});

Deno.test("Connection.closeWrite() during a close, and after one, changes nothing", async () => {
  const { connection, transport } = scriptedConnection(lines);
  connection.send("one");
  const closing = connection.close();
  await connection.closeWrite();
  await settle();
  assert(transport.writeEnded);
  transport.endInput();
  await closing;
  await connection.closeWrite();

  const late = scriptedConnection(lines);
  late.transport.endInput();
  await late.connection.close();
  await late.connection.closeWrite();
});

Deno.test("Connection.closeWrite() before a close ends our direction once", async () => {
  const { connection, transport } = scriptedConnection(lines);
  let ends = 0;
  transport.closeWrite = () => Promise.resolve(void ends++);
  transport.hold();
  connection.send("one");
  const ended = connection.closeWrite();
  const closing = connection.close();
  await settle();
  assertEquals(ends, 0);
  transport.releaseAll();
  await ended;
  transport.endInput();
  await closing;
  assertEquals(ends, 1);
});

Deno.test("Connection.closeWrite() rejects when the connection ends before all was handed over", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  connection.send("one");
  const ended = connection.closeWrite();
  connection.abort();
  await assertRejects(() => ended, ClosedError);
});

Deno.test("Connection.abort() settles every pending call with the reason", async () => {
  const reason = new DOMException("Enough", "AbortError");
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, highWaterBytes: 3 });
  transport.hold();
  transport.feed(utf8("half"));
  const pending = {
    receive: connection.receive(),
    send: connection.send("one"),
    flush: connection.flush(),
    closeWrite: connection.closeWrite(),
  };
  await settle();
  connection.abort(reason);
  for (const [name, promise] of Object.entries(pending)) {
    const error = await promise.then(() => "nothing", (error) => error);
    assertStrictEquals(error, reason, name);
  }
  assertEquals(await connection.closed, { error: reason, unsentBytes: 4 });
  assert(transport.closed);
  assertEquals(sweeper.size, 0);
  assertStrictEquals(await connection.receive().catch((error) => error), reason);
  assertStrictEquals(await connection.send("x").catch((error) => error), reason);
  assertStrictEquals(await connection.flush().catch((error) => error), reason);
  await connection.close();
  connection.abort(new Error("Another reason"));
  assertStrictEquals(await connection.receive().catch((error) => error), reason);
  assertStrictEquals(await connection.send("x").catch((error) => error), reason);
});

Deno.test("Connection.abort() ends an iteration, a stream and a close that wait", async () => {
  const reason = new Error("Enough");
  {
    const { connection } = scriptedConnection(lines);
    const next = connection[Symbol.asyncIterator]().next();
    connection.abort(reason);
    assertStrictEquals(await next.catch((error) => error), reason);
  }
  {
    const { connection } = scriptedConnection(lines);
    const read = connection.readable.getReader().read();
    connection.abort(reason);
    assertStrictEquals(await read.catch((error) => error), reason);
  }
  {
    const { connection, transport } = scriptedConnection(lines);
    transport.hold();
    connection.send("one");
    const closing = connection.close();
    connection.abort(reason);
    assertStrictEquals(await closing.catch((error) => error), reason);
  }
  {
    const { connection } = scriptedConnection(lines);
    connection.send("one");
    const closing = connection.close();
    await settle();
    connection.abort(reason);
    await closing;
    assertStrictEquals(connection.close(), closing);
    assertStrictEquals((await connection.closed).error, reason);
  }
});

Deno.test("Connection.abort() without an Error as its reason rejects with ERR_CLOSED, caused by the reason", async () => {
  for (const reason of [undefined, null, "enough", 0]) {
    const { connection } = scriptedConnection(lines);
    const receiving = connection.receive();
    connection.abort(reason);
    const error = await assertRejects(() => receiving, ClosedError, "aborted on this side");
    assertEquals([error.code, error.cause], ["ERR_CLOSED", reason]);
    assertStrictEquals((await connection.closed).error, error);
  }
});

Deno.test("Connection.closeNow() drops what waits to be sent, and leaves what was received", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  transport.feed(utf8("one\ntwo\nha"));
  connection.send("three");
  await settle();
  const flushing = connection.flush();
  connection.closeNow();
  assertEquals(await connection.closed, { error: null, unsentBytes: 6 });
  assert(transport.closed);
  assertEquals((await assertRejects(() => flushing, ClosedError)).unsentBytes, 6);
  assertEquals((await receiveAll(connection)).map(text), ["one", "two"]);
  await connection.close();
});

Deno.test("Connection.inputEnded resolves when the peer ends, or when the connection does", async () => {
  for (const end of ["peer", "reset", "abort"] as const) {
    const { connection, transport } = scriptedConnection(lines);
    transport.feed(utf8("one\n"));
    assert(!(await isSettled(connection.inputEnded)));
    if (end === "peer") transport.endInput();
    if (end === "reset") transport.failInput();
    if (end === "abort") connection.abort();
    await connection.inputEnded;
    assertEquals(connection.status, end === "peer" ? "open" : "closed");
    connection.abort();
  }
});

Deno.test("Connection.abort() drops what was received", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\n"));
  await settle();
  assertEquals(text((await connection.receive())!), "one");
  connection.abort();
  await assertRejects(() => connection.receive(), ClosedError);
});

Deno.test("Connection closes in order when its peer sends what is no message", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, maxMessageBytes: 4 });
  const receiving = connection.receive();
  connection.send("bye");
  transport.feed(utf8("far too long\n"));
  const error = await assertRejects(() => receiving, FramingError);
  await settle();
  assertEquals(transport.writes.map(text), ["bye\n"]);
  assert(transport.writeEnded);
  // What the peer goes on to send is read, so that our last words reach it, and dropped.
  assert(!transport.closed);
  transport.feed(pattern(100_000));
  await settle();
  assertEquals([transport.unreadBytes, connection.stats().heldBytes < 20], [0, true]);
  transport.endInput();
  assertEquals(await connection.closed, { error, unsentBytes: 0 });
  assertEquals(connection.stats().errorCode, "ERR_FRAME_TOO_LARGE");
  assertStrictEquals(await connection.send("x").catch((why) => why), error);
});

Deno.test("Connection reads on and drops it all when what it read ahead is no message", async () => {
  const { connection, transport } = scriptedConnection({
    ...lines,
    maxMessageBytes: 4,
    readAheadBytes: 1024,
  });
  for (let i = 0; i < 5; i++) transport.feed(pattern(1000));
  await settle();
  assertEquals(transport.unreadBytes, 3000);
  await assertRejects(() => connection.receive(), FramingError);
  await settle();
  assertEquals(transport.unreadBytes, 0);
  assert(connection.stats().heldBytes <= 2000);
  transport.endInput();
  await connection.closed;
});

Deno.test("Connection.closed tells of a reset by the peer, and never rejects", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  connection.send("one");
  await settle();
  transport.failInput();
  const { error, unsentBytes } = await connection.closed;
  assertEquals([(error as ClosedError).code, unsentBytes], ["ERR_RESET", 4]);
  assert(transport.closed);
  assertStrictEquals(await connection.send("x").catch((why) => why), error);
});

Deno.test("Connection over a memory pair sees the other end's abort as a reset, not as an end in order", async () => {
  const [a, b] = connectedPair(lines);
  b.abort();
  const error = await assertRejects(() => a.receive(), ClosedError);
  assertEquals(error.code, "ERR_RESET");
  assertEquals(await a.closed, { error, unsentBytes: 0 });
  assertStrictEquals(await a.send("one").catch((why) => why), error);
});

Deno.test("Connection is disposed of in order", async () => {
  const [near, far] = memoryPair();
  const peer = new Connection(far, lines);
  const answered = (async () => {
    for await (const message of peer) await peer.send(message);
    await peer.close();
  })();
  let closed: Promise<unknown>;
  {
    await using connection = new Connection(near, lines);
    closed = connection.closed;
    connection.send("one");
  }
  assertEquals(await closed, { error: null, unsentBytes: 0 });
  await answered;
});

Deno.test("Connection.close({ timeoutMs }) cuts a peer that does not read, and refuses wrong options", async () => {
  const [a, b] = memoryPair({ bufferBytes: 1024 });
  const connection = new Connection(a, { framing: raw(), highWaterBytes: 2 ** 20 });
  await assertRejects(() => connection.close({ timeoutMs: Infinity }), RangeError, '"timeoutMs"');
  await assertRejects(() => connection.close({ within: 5 } as object), TypeError, '"within"');
  assertEquals(connection.status, "open");
  await connection.send(new Uint8Array(65_536));
  const error = await assertRejects(() => connection.close({ timeoutMs: 20 }), TimeoutError);
  assertEquals([error.code, error.message.includes("within 20 ms")], ["ERR_WRITE_TIMEOUT", true]);
  b.close();
});
