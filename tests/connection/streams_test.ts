// A connection's WHATWG streams: messages in and out, backpressure, ends and errors.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, FramingError } from "../../errors.ts";
import { delimited } from "../../framing.ts";
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

Deno.test("Connection.readable gives whole messages and closes at the peer's end", async () => {
  const { connection, transport } = scriptedConnection(lines);
  assertStrictEquals(connection.readable, connection.readable);
  transport.feed(utf8("one\ntw"));
  transport.feed(utf8("o\n"));
  transport.endInput();
  assertEquals((await Array.fromAsync(connection.readable)).map(text), ["one", "two"]);
  connection.abort();
});

Deno.test("Connection.readable reads nothing before it is asked", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  const { readable } = connection;
  for (let i = 0; i < 100; i++) transport.feed(utf8("x".repeat(99) + "\n"));
  await settle();
  assertEquals(connection.stats().messagesIn, 0);
  assert(transport.unreadBytes > 8000);
  // A message that no reader took from the stream goes to another reader.
  assertEquals((await connection.receive())!.length, 99);
  const reader = readable.getReader();
  assertEquals((await reader.read()).value!.length, 99);
  assertEquals(connection.stats().messagesIn, 2);
  reader.releaseLock();
  connection.abort();
});

Deno.test("Connection.readable errs with what broke the connection", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, maxMessageBytes: 4 });
  transport.feed(utf8("one\ntoo long\n"));
  const reader = connection.readable.getReader();
  assertEquals(text((await reader.read()).value!), "one");
  await assertRejects(() => reader.read(), FramingError);
  await assertRejects(() => reader.closed, FramingError);
  transport.endInput();
  await connection.closed;
});

Deno.test("Connection.readable aborts the connection when it is cancelled", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const reason = new Error("Enough");
  await connection.readable.cancel(reason);
  assertEquals(await connection.closed, { error: reason, unsentBytes: 0 });
  assert(transport.closed);
});

Deno.test("Connection.writable sends messages and ends our direction when it is closed", async () => {
  const [a, b] = connectedPair(lines);
  assertStrictEquals(a.writable, a.writable);
  const writer = a.writable.getWriter();
  await writer.write("one");
  await writer.write(utf8("two"));
  await writer.close();
  assertEquals((await receiveAll(b)).map(text), ["one", "two"]);
  await b.send("still");
  assertEquals(text((await a.receive())!), "still");
  await closeAll(a, b);
});

Deno.test("Connection.writable is not ready above highWaterBytes", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, highWaterBytes: 10 });
  transport.hold();
  const writer = connection.writable.getWriter();
  await writer.write("one");
  const over = writer.write("more than ten");
  assert(!(await isSettled(over)));
  assert(!(await isSettled(writer.ready)));
  transport.release();
  await settle();
  transport.releaseAll();
  await over;
  await writer.ready;
  connection.abort();
});

Deno.test("Connection.writable errs with the connection, and with a message that is refused", async () => {
  {
    const { connection, transport } = scriptedConnection(lines);
    transport.failInput();
    await connection.closed;
    const writer = connection.writable.getWriter();
    writer.closed.catch(() => {});
    const error = await assertRejects(() => writer.write("one"), ClosedError);
    assertEquals(error.code, "ERR_RESET");
  }
  {
    const { connection } = scriptedConnection(lines);
    const writer = connection.writable.getWriter();
    writer.closed.catch(() => {});
    await assertRejects(() => writer.write("one\n"), FramingError);
    connection.abort();
  }
});

Deno.test("Connection.writable aborts the connection when it is aborted", async () => {
  const { connection } = scriptedConnection(lines);
  const reason = new Error("Enough");
  await connection.writable.abort(reason);
  assertStrictEquals((await connection.closed).error, reason);
});

Deno.test("Connection pipes another's messages with backpressure, to the end", async () => {
  const options = { ...lines, highWaterBytes: 10_000, readAheadBytes: 10_000 };
  const [source, left] = connectedPair(options, options, { bufferBytes: 1000 });
  const [right, sink] = connectedPair(options, options, { bufferBytes: 1000 });
  const piped = left.readable.pipeTo(right.writable);
  let sent = 0;
  const sending = (async () => {
    for (; sent < 3000; sent++) await source.send(pattern(100, sent).map((byte) => byte | 0x20));
    await source.closeWrite();
  })();
  await settle(50);
  const stalledAt = sent;
  assert(stalledAt < 1500, `${stalledAt} messages went into pipes that nobody reads`);
  await settle(20);
  assertEquals(sent, stalledAt);
  const got = await receiveAll(sink);
  await sending;
  await piped;
  assertEquals(got.length, 3000);
  got.forEach((message, i) => assertEquals(message, pattern(100, i).map((byte) => byte | 0x20)));
  await closeAll(source, left, right, sink);
});

Deno.test("Connection pipes messages through transforms", async () => {
  const [a, b] = connectedPair(lines);
  const shouted = ReadableStream.from(["one", "two"])
    .pipeThrough(
      new TransformStream<string, string>({
        transform: (word, to) => to.enqueue(word.toUpperCase()),
      }),
    )
    .pipeTo(a.writable);
  const got = await Array.fromAsync(b.readable.pipeThrough(new TextDecoderStream()));
  assertEquals(got, ["ONE", "TWO"]);
  await shouted;
  await closeAll(a, b);
});
