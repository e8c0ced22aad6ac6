// Faults that meet: which one counts, when a second one comes while the connection ends.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, FramingError } from "../../errors.ts";
import { delimited } from "../../framing.ts";
import { text, utf8 } from "../support/bytes.ts";
import { isSettled, scriptedConnection, settle } from "../support/simulation/memory_connections.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection.closed tells the first fault when a write fails while it ends because of bytes that are no message", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, maxMessageBytes: 4 });
  transport.hold();
  connection.send("bye");
  transport.feed(utf8("far too long\n"));
  const error = await assertRejects(() => connection.receive(), FramingError);
  await settle();
  assertEquals(connection.status, "closing");
  transport.failWrites();
  assertEquals(await connection.closed, { error, unsentBytes: 4 });
});

Deno.test("Connection.closed tells the first fault when the peer takes nothing while it ends", async () => {
  const { connection, transport } = scriptedConnection({
    ...lines,
    maxMessageBytes: 4,
    closeTimeoutMs: 20,
  });
  transport.hold();
  connection.send("bye");
  transport.feed(utf8("far too long\n"));
  const error = await assertRejects(() => connection.receive(), FramingError);
  assertEquals(await connection.closed, { error, unsentBytes: 4 });
});

Deno.test("Connection.close() ends at once when a write fails, whether the peer ends or not", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  connection.send("one");
  const closing = connection.close();
  await settle();
  transport.failWrites();
  assert(await isSettled(connection.closed));
  const error = await assertRejects(() => closing, ClosedError);
  assertEquals([error.code, (await connection.closed).unsentBytes], ["ERR_RESET", 4]);
});

Deno.test("Connection passes on what a broken transport throws from a write, as it is", async () => {
  const broken = new TypeError("Broken");
  const { connection, transport } = scriptedConnection(lines);
  transport.failWrites(broken);
  connection.send("one");
  assertStrictEquals(await connection.flush().catch((error) => error), broken);
  transport.endInput();
  assertEquals(await connection.closed, { error: broken, unsentBytes: 4 });
});

Deno.test("Connection that has ended in order stays so when a reader finds a cut message afterwards", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntw"));
  transport.endInput();
  await settle();
  await connection.close();
  assertEquals(await connection.closed, { error: null, unsentBytes: 0 });
  assertEquals(text((await connection.receive())!), "one");
  const error = await assertRejects(() => connection.receive(), FramingError);
  assertEquals(error.code, "ERR_FRAME_TRUNCATED");
  assertEquals([connection.stats().errorCode, connection.status], [null, "closed"]);
  assertEquals((await connection.closed).error, null);
});

Deno.test("Connection tells a reset that both a read and a write met once", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  connection.send("one");
  await settle();
  transport.failWrites();
  transport.failInput();
  const { error, unsentBytes } = await connection.closed;
  assertEquals([(error as ClosedError).code, unsentBytes], ["ERR_RESET", 4]);
  assertEquals((await assertRejects(() => connection.receive(), ClosedError)).code, "ERR_RESET");
  assertEquals((await assertRejects(() => connection.send("x"), ClosedError)).code, "ERR_RESET");
});

Deno.test("Connection passes on what a broken transport throws from a read, as it is", async () => {
  const broken = new TypeError("Broken");
  const { connection, transport } = scriptedConnection(lines);
  transport.failInput(broken);
  assertStrictEquals(await connection.receive().catch((why) => why), broken);
  assertStrictEquals((await connection.closed).error, broken);
});
