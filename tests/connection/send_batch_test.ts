// Batches that are sent: all or none, in order, whatever makes them; their limits.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, FramingError } from "../../errors.ts";
import { chunked, delimited } from "../../framing.ts";
import { concat, pattern, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  scriptedConnection,
} from "../support/simulation/memory_connections.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection.sendBatch() sends all in order, with one write, strings as UTF-8, from any iterable", async () => {
  const { connection, transport } = scriptedConnection(lines);
  await connection.sendBatch(["one", utf8("two")]);
  await connection.sendBatch(new Set(["three"]));
  await connection.sendBatch(function* () {
    yield "four";
    yield "fünf";
  }());
  await connection.flush();
  assertEquals(text(concat(transport.writes)), "one\ntwo\nthree\nfour\nfünf\n");
  assertEquals(connection.stats().messagesOut, 5);
  connection.abort();
});

Deno.test("Connection.sendBatch() sends nothing when one message is refused, and the connection goes on", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const error = await assertRejects(
    () => connection.sendBatch(["one", "tw\no", "three"]),
    FramingError,
  );
  assertEquals(error.code, "ERR_FRAME_MALFORMED");
  for (const wrong of ["one", utf8("one"), null, 5, ["one", 5], { length: 1 }]) {
    await assertRejects(
      () => connection.sendBatch(wrong as unknown as string[]),
      TypeError,
      "Cannot send",
    );
  }
  const mine = new Error("mine");
  const thrown = await connection.sendBatch(function* () {
    yield "one";
    throw mine;
  }()).catch((error) => error);
  assertStrictEquals(thrown, mine);
  assertEquals([connection.sending.pushedBytes, connection.stats().messagesOut], [0, 0]);
  await connection.sendBatch(["four"]);
  await connection.flush();
  assertEquals(text(concat(transport.writes)), "four\n");
  connection.abort();
});

Deno.test("Connection.sendBatch() sends what it was given, whatever the code that gives it does", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const first = new Uint8Array([49]);
  const refused = connection.sendBatch(function* () {
    yield first;
    structuredClone(first, { transfer: [first.buffer] });
    yield "two";
  }());
  await assertRejects(() => refused, TypeError, "transferred to another owner");
  await connection.sendBatch(function* () {
    void connection.send("before");
    yield "three";
    void connection.send("before that as well");
  }());
  await connection.flush();
  assertEquals(text(concat(transport.writes)), "before\nbefore that as well\nthree\n");
  const closed = connection.sendBatch(function* () {
    yield "four";
    connection.closeNow();
  }());
  await assertRejects(() => closed, ClosedError);
});

Deno.test("Connection.sendBatch() of parts leaves no part behind when one is refused", async () => {
  const [a, b] = connectedPair({ framing: chunked(), maxMessageBytes: 10 });
  a.setFraming(chunked({ sends: "parts" }));
  await a.send("1234");
  await assertRejects(() => a.sendBatch(["5678", "9abc"]), FramingError, "leaves 2");
  await a.sendBatch(["5678", "9a", ""]);
  assertEquals(text((await b.receive())!), "123456789a");
  await closeAll(a, b);
});

Deno.test("Connection.sendBatch() may be larger than maxQueuedBytes, and waits like one large message", async () => {
  const [a, b] = connectedPair({ highWaterBytes: 1000, maxQueuedBytes: 2000 });
  const sent = Array.from({ length: 500 }, (_, i) => pattern(1000, i));
  const accepted = a.sendBatch(sent);
  assertEquals(await isSettled(accepted), false);
  const got: Uint8Array[] = [];
  while (got.length < 500) got.push(...(await b.receiveBatch())!);
  assertEquals(got, sent);
  await accepted;
  assertEquals(a.status, "open");

  // Who does not wait for it ends the connection, as by single messages.
  void a.sendBatch(sent.slice(0, 300));
  await assertRejects(() => a.sendBatch(sent.slice(0, 3)), ClosedError, "maxQueuedBytes");
  b.abort();
});

Deno.test("Connection.sendBatch() is refused after close(), as send() is", async () => {
  const [a, b] = connectedPair();
  await a.closeWrite();
  await assertRejects(() => a.sendBatch(["one"]), ClosedError, "its writing side was closed");
  await closeAll(a, b);
  await assertRejects(() => a.sendBatch(["one"]), ClosedError, "the connection is closed");
});
