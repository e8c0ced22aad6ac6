// Sending: joined writes, order, backpressure in bytes, large messages, errors.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, FramingError } from "../../errors.ts";
import { delimited, raw } from "../../framing.ts";
import { concat, hex, pattern, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  receiveAll,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";

const lines = { framing: delimited("\n") };
const KIB = 1024;

Deno.test("Connection.send() sends strings as UTF-8 and bytes as they are", async () => {
  const { connection, transport } = scriptedConnection(lines);
  connection.send("süß");
  connection.send(hex("00ff"));
  connection.send("");
  await connection.flush();
  assertEquals(concat(transport.writes), concat([utf8("süß\n"), hex("00ff0a0a")]));
  assertEquals(connection.stats().messagesOut, 3);
  assertEquals(connection.stats().bytesOut, 10);
  connection.abort();
});

Deno.test("Connection.send() joins all messages of one turn into one write", async () => {
  const { connection, transport } = scriptedConnection();
  for (let turn = 1; turn <= 3; turn++) {
    for (let i = 0; i < 100; i++) {
      await connection.send(pattern(64, i));
      if (i % 3 === 0) await Promise.resolve();
    }
    assertEquals(transport.writes.length, turn - 1, "nothing is written before the turn ends");
    await settle();
    assertEquals(transport.writes.length, turn);
  }
  assertEquals(transport.writes.map((bytes) => bytes.length), [6800, 6800, 6800]);
  connection.abort();
});

Deno.test("Connection.send() goes out at once when the reader waits again", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\n"));
  for (let i = 0; i < 2; i++) {
    const message = await connection.receive();
    connection.send(message!);
    assertEquals(transport.writes.length, 0);
  }
  void connection.receive();
  assertEquals(transport.writes.map(text), ["one\ntwo\n"]);
  connection.abort();
});

Deno.test("Connection.send() joins what comes during a write into the next one", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  connection.send("first");
  await settle();
  for (let i = 0; i < 50; i++) {
    connection.send(`${i}`);
    if (i % 10 === 0) await settle(1);
  }
  assertEquals(transport.writes.map(text), ["first\n"]);
  transport.release();
  await settle();
  assertEquals(transport.writes.length, 2);
  assertEquals(text(transport.writes[1]!), Array.from({ length: 50 }, (_, i) => `${i}\n`).join(""));
  transport.releaseAll();
  await connection.flush();
  assertEquals(connection.stats().queuedBytes, 0);
  connection.abort();
});

Deno.test("Connection.send() writes as soon as 64 KiB are waiting, and never much more at once", async () => {
  const { connection, transport } = scriptedConnection();
  for (let i = 0; i < 63; i++) connection.send(new Uint8Array(KIB - 4));
  assertEquals(transport.writes.length, 0);
  connection.send(new Uint8Array(KIB - 4));
  assertEquals(transport.writes.length, 1);
  for (let i = 0; i < 1000; i++) connection.send(new Uint8Array(KIB - 4));
  await connection.flush();
  assertEquals(concat(transport.writes).length, 1064 * KIB);
  assert(transport.writes.every((bytes) => bytes.length <= 64 * KIB));
  assert(transport.writes.length < 30, `${transport.writes.length} writes`);
  connection.abort();
});

Deno.test("Connection.send() keeps a copy of small messages and reads large ones until they are flushed", async () => {
  const { connection, transport } = scriptedConnection();
  const message = utf8("kept");
  connection.send(message);
  message.fill(0);
  await connection.flush();
  assertEquals(text(transport.writes[0]!.subarray(4)), "kept");
  connection.abort();
});

Deno.test("Connection.send() of nothing by raw() writes nothing", async () => {
  const { connection, transport } = scriptedConnection({ framing: raw() });
  await connection.send("");
  await connection.flush();
  await settle();
  assertEquals(transport.writes, []);
  connection.send("a");
  connection.send("");
  await settle();
  assertEquals(transport.writes.map(text), ["a"]);
  connection.abort();
});

Deno.test("Connection.send() waits above highWaterBytes and goes on at or below it", async () => {
  const { connection, transport } = scriptedConnection({
    framing: raw(),
    highWaterBytes: 100 * KIB,
  });
  transport.hold();
  await connection.send(new Uint8Array(50 * KIB));
  await connection.send(new Uint8Array(50 * KIB));
  const over = connection.send(new Uint8Array(1));
  assert(!(await isSettled(over)));
  assertEquals(connection.stats().queuedBytes, 100 * KIB + 1);
  transport.release();
  await over;
  assert(connection.stats().queuedBytes <= 100 * KIB);
  transport.releaseAll();
  await connection.flush();
  connection.abort();
});

Deno.test("Connection.send() of one message above highWaterBytes goes out, and resolves then", async () => {
  const { connection, transport } = scriptedConnection({ framing: raw(), highWaterBytes: 10 });
  await connection.send(new Uint8Array(11));
  assertEquals(transport.writes.length, 1);
  connection.abort();
});

Deno.test("Connection.send() holds a sender that waits within highWaterBytes and one message", async () => {
  const [a, b] = connectedPair({ highWaterBytes: 200_000, readAheadBytes: 10_000 }, undefined, {
    bufferBytes: 1000,
  });
  let accepted = 0;
  let peak = 0;
  const sending = (async () => {
    for (; accepted < 1000; accepted++) {
      const sent = a.send(pattern(5000, accepted));
      peak = Math.max(peak, a.stats().queuedBytes);
      await sent;
    }
    await a.closeWrite();
  })();
  await settle(20);
  const stalledAt = accepted;
  assert(stalledAt < 100, `${stalledAt} messages were accepted for a peer that does not read`);
  await settle(20);
  assertEquals(accepted, stalledAt);
  // The peer's own memory is bounded as well: what it reads ahead, and the chunk that went over.
  assert(b.stats().heldBytes < 10_000 + 70_000);

  const got = await receiveAll(b);
  await sending;
  got.forEach((message, i) => assertEquals(message, pattern(5000, i)));
  assertEquals(got.length, 1000);
  assert(peak <= 200_000 + 5004);
  await closeAll(a, b);
});

Deno.test("Connection ends with ERR_SLOW_CONSUMER above maxQueuedBytes, and tells what was not sent", async () => {
  const { connection, transport } = scriptedConnection({
    framing: raw(),
    highWaterBytes: 10_000,
    maxQueuedBytes: 100_000,
  });
  transport.hold();
  const receiving = connection.receive();
  const waiting = Array.from({ length: 10 }, () => connection.send(new Uint8Array(10_000)));
  const flushing = connection.flush();
  assertEquals(connection.stats().queuedBytes, 100_000);
  await settle();
  assertEquals(connection.status, "open");
  const refused = await assertRejects(() => connection.send(new Uint8Array(1)), ClosedError);
  assertEquals(refused.code, "ERR_SLOW_CONSUMER");
  assertEquals(refused.unsentBytes, 100_001);
  assertEquals(await connection.closed, { error: refused, unsentBytes: 100_001 });
  assert(transport.closed);
  await waiting[0];
  for (const pending of [...waiting.slice(1), flushing, receiving]) {
    assertStrictEquals(await pending.catch((error) => error), refused);
  }
  assertStrictEquals(await connection.send("more").catch((error) => error), refused);
});

Deno.test("Connection takes one message that is larger than its whole queue, and no second one", async () => {
  const options = {
    framing: raw(),
    highWaterBytes: 1000,
    maxQueuedBytes: 2000,
    maxMessageBytes: 100_000,
  };
  const { connection, transport } = scriptedConnection(options);
  transport.hold();
  const large = connection.send(new Uint8Array(100_000));
  assert(!(await isSettled(large)));
  assertEquals(connection.status, "open");
  const error = await assertRejects(() => connection.send("x"), ClosedError);
  assertEquals(error.code, "ERR_SLOW_CONSUMER");
  await assertRejects(() => large, ClosedError);
});

Deno.test("Connection.send() refuses a message and goes on", async () => {
  const [a, b] = connectedPair({ ...lines, maxMessageBytes: 10 });
  const malformed = await assertRejects(() => a.send("a\nb"), FramingError);
  assertEquals(malformed.code, "ERR_FRAME_MALFORMED");
  const large = await assertRejects(() => a.send("12345678901"), FramingError);
  assertEquals(large.code, "ERR_FRAME_TOO_LARGE");
  assertEquals([a.stats().messagesOut, a.stats().queuedBytes], [0, 0]);
  await a.send("1234567890");
  assertEquals(text((await b.receive())!), "1234567890");
  await closeAll(a, b);
});

Deno.test("Connection.send() refuses what is neither bytes nor a string", async () => {
  const { connection, transport } = scriptedConnection(lines);
  for (const wrong of [undefined, null, 5, {}, [1, 2], new ArrayBuffer(2), new Uint16Array(2)]) {
    await assertRejects(
      () => connection.send(wrong as unknown as string),
      TypeError,
      "Cannot send: the message must be a string or a Uint8Array",
    );
  }
  await connection.send("fine");
  await connection.flush();
  assertEquals(transport.writes.map(text), ["fine\n"]);
  connection.abort();
});

Deno.test("Connection.send() rejects with ERR_CLOSED once our direction has ended", async () => {
  const { connection, transport } = scriptedConnection(lines);
  connection.send("last");
  const ended = connection.closeWrite();
  const error = await assertRejects(
    () => connection.send("more"),
    ClosedError,
    "its writing side was closed",
  );
  assertEquals(error.code, "ERR_CLOSED");
  await ended;
  assertEquals(transport.writes.map(text), ["last\n"]);
  transport.endInput();
  await connection.close();
  const closed = await assertRejects(
    () => connection.send("more"),
    ClosedError,
    "the connection is closed",
  );
  assertEquals(closed.code, "ERR_CLOSED");
});

Deno.test("Connection.flush() resolves when the transport has all that was sent before it", async () => {
  const { connection, transport } = scriptedConnection(lines);
  await connection.flush();
  transport.hold();
  connection.send("one");
  const first = connection.flush();
  assertStrictEquals(connection.flush(), first);
  connection.send("two");
  const second = connection.flush();
  assert(!(await isSettled(first)));
  transport.release();
  await first;
  assert(!(await isSettled(second)));
  transport.release();
  await second;
  await connection.flush();
  assertEquals(transport.writes.map(text), ["one\n", "two\n"]);
  connection.abort();
});

Deno.test("Connection.flush() resolves after an orderly close, as all was handed over", async () => {
  const { connection, transport } = scriptedConnection(lines);
  connection.send("one");
  transport.endInput();
  await connection.close();
  await connection.flush();
  assertEquals(transport.writes.map(text), ["one\n"]);
});

Deno.test("Connection tells what was not sent when a write fails", async () => {
  const { connection, transport } = scriptedConnection({ framing: raw(), highWaterBytes: 1000 });
  transport.hold();
  connection.send(new Uint8Array(600));
  await settle();
  const waiting = connection.send(new Uint8Array(500));
  const flushing = connection.flush();
  transport.release();
  await waiting;
  connection.send(new Uint8Array(50));
  transport.failWrites();
  const error = await assertRejects(() => flushing, ClosedError);
  assertEquals([error.code, error.unsentBytes], ["ERR_RESET", 550]);
  transport.endInput();
  const { error: why, unsentBytes } = await connection.closed;
  assertEquals([(why as ClosedError).code, unsentBytes], ["ERR_RESET", 550]);
  assertEquals(connection.stats().bytesOut, 600);
  await assertRejects(() => connection.close(), ClosedError);
});

Deno.test("Connection hands over the peer's last words after a write has failed", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.failWrites();
  connection.send("hello?");
  const error = await assertRejects(() => connection.flush(), ClosedError);
  assertEquals(error.code, "ERR_RESET");
  const refused = await assertRejects(() => connection.send("more"), ClosedError);
  assertEquals([refused.code, connection.status], ["ERR_RESET", "closing"]);
  const receiving = connection.receive();
  transport.feed(utf8("you are late\ngo away\n"));
  transport.endInput();
  assertEquals(text((await receiving)!), "you are late");
  assertEquals(text((await connection.receive())!), "go away");
  assertEquals(await connection.receive(), null);
  assertEquals(((await connection.closed).error as ClosedError).code, "ERR_RESET");
});

Deno.test("Connection does not make unheard rejections of sends, flushes and ends into unhandled ones", async () => {
  const unhandled: unknown[] = [];
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", listen);
  try {
    for (const end of ["abort", "reset", "slow", "refused"] as const) {
      const { connection, transport } = scriptedConnection({
        ...lines,
        highWaterBytes: 10,
        maxQueuedBytes: 100,
        onUnheard() {},
      });
      transport.hold();
      connection.send("0123456789abcdef");
      connection.flush();
      connection.receive();
      connection.receive();
      connection.receive({ timeoutMs: 0 });
      connection.closeWrite();
      connection.send("after the end");
      if (end === "abort") connection.abort();
      if (end === "reset") transport.failWrites();
      if (end === "reset") transport.failInput();
      if (end === "slow") { for (let i = 0; i < 20; i++) connection.send("0123456789abcdef"); }
      if (end === "refused") connection.send("\n");
      connection.abort("in the end");
      connection.close();
      connection.send("x");
      connection.flush();
      connection.closeWrite();
      connection.receive();
      await settle();
    }
  } finally {
    globalThis.removeEventListener("unhandledrejection", listen);
  }
  assertEquals(unhandled, []);
});
