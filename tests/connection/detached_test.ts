// Buffers that a caller transfers before they are sent: the connection ends and says so, and counts
// nothing that was not written.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connect } from "../../client/connect.ts";
import { ClosedError } from "../../errors.ts";
import { delimited, lengthPrefixed, raw } from "../../framing.ts";
import { serve } from "../../server.ts";
import { testCerts } from "../support/programs/certs.ts";
import { concat, text } from "../support/bytes.ts";
import { scriptedConnection, settle } from "../support/simulation/memory_connections.ts";
import { settles } from "../support/wait.ts";

/** Transfers the memory to another owner, as `postMessage(bytes, [bytes.buffer])` does. */
function giveAway(bytes: Uint8Array<ArrayBuffer>): void {
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
}

const framings = { raw: raw(), prefixed: lengthPrefixed(), lines: delimited("\n") };

for (const [name, framing] of Object.entries(framings)) {
  for (const size of [1000, 20_000, 70_000, 200_000, 700_000]) {
    Deno.test(`Connection.send() of ${size} bytes by ${name} sends them all or says that they were given away`, async () => {
      const { connection, transport } = scriptedConnection({ framing });
      transport.hold();
      connection.send("the first");
      await settle();
      const bytes = new Uint8Array(size).fill(120);
      connection.send(bytes);
      giveAway(bytes);
      connection.send("later");
      const flushed = connection.flush().then(() => null, (error: ClosedError) => error);
      const closing = connection.closeWrite().then(() => null, (error: Error) => error);
      for (let i = 0; i < 20; i++) {
        transport.release();
        await settle();
      }
      const error = await flushed;
      const written = transport.writes.reduce((sum, { length }) => sum + length, 0);
      assertEquals(connection.stats().bytesOut, written);
      if (error === null) {
        // A small message is copied when it is sent.
        const sent = text(concat(transport.writes));
        assert(sent.includes("x".repeat(size)) && sent.includes("later"));
        assertEquals(await closing, null);
        return connection.abort();
      }
      assertEquals([error.name, error.code], ["ClosedError", "ERR_CLOSED"]);
      assertStringIncludes(error.message, "transferred or resized");
      assertStringIncludes(error.message, "message.slice()");
      assertEquals(error.unsentBytes, connection.sending.pushedBytes - written);
      assertEquals(await closing, error);
      assert(transport.unsigned, "the peer is not told of an end in order");
      transport.endInput();
      assertEquals((await connection.closed).error, error);
    });
  }
}

Deno.test("Connection.send() refuses a message whose buffer is gone, and not one that is empty", async () => {
  const { connection, transport } = scriptedConnection({ framing: delimited("\n") });
  const bytes = new Uint8Array(10);
  giveAway(bytes);
  await assertRejects(() => connection.send(bytes), TypeError, "transferred to another owner");
  await connection.send(new Uint8Array(0));
  await connection.flush();
  assertEquals(transport.writes.map(text), ["\n"]);
  connection.abort();
});

Deno.test("Connection notices a buffer that was resized before it was sent", async () => {
  const { connection, transport } = scriptedConnection({ framing: raw() });
  transport.hold();
  connection.send("the first");
  await settle();
  const buffer = new ArrayBuffer(50_000, { maxByteLength: 100_000 });
  connection.send(new Uint8Array(buffer));
  buffer.resize(20_000);
  const flushed = connection.flush();
  transport.releaseAll();
  assertStringIncludes((await assertRejects(() => flushed, ClosedError)).message, "resized");
  connection.abort();
});

for (const tls of [undefined, "node", "deno"] as const) {
  Deno.test(`Connection over ${tls ?? "TCP"} tells of a buffer that is given away while the kernel takes it`, async () => {
    const certs = await testCerts();
    let received = 0;
    await using server = serve({
      ...tls !== undefined && { tls: { ...certs.server, backend: tls } },
      maxMessageBytes: 2 ** 25,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    }, async (conn) => {
      for await (const { length } of conn) received += length;
    });
    await server.ready;
    const conn = await connect({
      ...server.addr as { port: number },
      hostname: "localhost",
      ...tls !== undefined && { tls: { caCerts: [certs.ca.cert], backend: tls } },
      maxMessageBytes: 2 ** 25,
    });
    const bytes = new Uint8Array(2 ** 25);
    const sent = conn.send(bytes).catch(() => {});
    giveAway(bytes);
    const error = await settles("flush", assertRejects(() => conn.flush(), ClosedError));
    assertStringIncludes(error.message, "transferred");
    assert(error.unsentBytes > 0);
    await sent;
    await settles("end", conn.closed);
    await server.shutdown();
    assertEquals(received, 0);
  });
}

Deno.test("Connection.flush() and send() that find the first bytes gone say so at once", async () => {
  for (const act of ["flush", "send", "closeWrite"] as const) {
    const { connection, transport } = scriptedConnection({
      framing: raw(),
      highWaterBytes: 30_000,
    });
    const bytes = new Uint8Array(20_000);
    await connection.send(bytes);
    giveAway(bytes);
    const doing = act === "send" ? connection.send(new Uint8Array(20_000)) : connection[act]();
    const error = await settles(act, assertRejects(() => doing, ClosedError));
    assertStringIncludes(error.message, "transferred");
    assertEquals(transport.writes, []);
    connection.abort();
  }
});
