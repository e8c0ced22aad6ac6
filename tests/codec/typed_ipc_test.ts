// TypedIpc: a union by type, types without a codec, and the client that sent a bad message.
import { assertEquals, assertRejects } from "@std/assert";
import { bytes, json, text, typed } from "@parley/parley/codec";
import { SchemaError } from "@parley/parley";
import { connectIpc, listenIpc } from "@parley/parley/ipc";
import { z } from "zod";
import { TempDir } from "../support/programs/temp_dir.ts";

const JOB = 1;
const NOTE = 2;
const RAW = 4_294_967_295;
const codecs = { [JOB]: json(z.object({ id: z.number() })), [NOTE]: text(), [RAW]: bytes() };

Deno.test("TypedIpc and TypedIpcServer: each type has its codec, both ways", async () => {
  await using folder = new TempDir();
  const place = { name: "typed", path: `${folder.path}/s.sock` };
  await using server = typed(await listenIpc(place), codecs);
  await using client = typed(await connectIpc(place), codecs);
  await client.send(JOB, { id: 7 });
  await client.send(NOTE, "soon");
  await client.send(RAW, new Uint8Array([1]));
  const seen: unknown[] = [];
  for await (const message of server) {
    switch (message.type) {
      case JOB:
        seen.push(message.data.id);
        break;
      case NOTE:
        seen.push(message.data.toUpperCase());
        break;
      case RAW:
        seen.push(message.data.length, message.client.status);
    }
    if (message.type === RAW) {
      await typed(message.client, codecs).send(NOTE, "to you alone");
      break;
    }
  }
  assertEquals(seen, [7, "SOON", 1, "connected"]);
  assertEquals(await client.receive(), { type: NOTE, data: "to you alone" });
  await server.send(JOB, { id: 8 });
  assertEquals(await client.receive(), { type: JOB, data: { id: 8 } });
  const writer = client.writable.getWriter();
  await writer.write({ type: NOTE, data: "by stream" });
  assertEquals((await server.receive())?.data, "by stream");
  await client.flush();
  await assertRejects(() => client.send(3 as never, 1 as never), TypeError, "type 3 has no codec");
  assertEquals([client.status, server.state], ["connected", "listening"]);
  await client.close();
  await client.closed;
  assertEquals(await client.receive(), null);
  await server.shutdown();
  assertEquals([await server.receive(), server.state], [null, "stopped"]);
  await server.finished;
});

Deno.test("TypedIpcServer: a type without a codec costs that message, and onInvalid learns whose it was", async () => {
  await using folder = new TempDir();
  const place = { name: "typed", path: `${folder.path}/s.sock` };
  await using listening = await listenIpc(place);
  const bad: string[] = [];
  const server = typed(listening, codecs, {
    onInvalid(error, { client, type }) {
      bad.push(`${type} ${error.code} ${client.id === client.link.sessionId}`);
    },
  });
  await using client = await connectIpc(place);
  await client.send(3, "what is this?");
  await client.send(JOB, `{"id":"seven"}`);
  await client.send(JOB, `{"id":7}`);
  assertEquals((await server.receive())?.data, { id: 7 });
  assertEquals(bad, ["3 ERR_MESSAGE_INVALID true", "1 ERR_MESSAGE_INVALID true"]);
  const strict = typed(listening, codecs);
  await client.send(3, "once more");
  await client.send(NOTE, "fine");
  await assertRejects(() => strict.receive(), SchemaError, "its type 3 has no codec");
  assertEquals((await strict.receive())?.data, "fine");
});

Deno.test("TypedIpc and TypedIpcServer: batches have each message's type, and a bad one costs itself alone", async () => {
  await using folder = new TempDir();
  const place = { name: "typed", path: `${folder.path}/s.sock` };
  await using server = typed(await listenIpc(place), codecs);
  await using client = typed(await connectIpc(place), codecs);
  await client.sendBatch([{ type: JOB, data: { id: 7 } }, { type: NOTE, data: "soon" }]);
  await assertRejects(
    () => client.sendBatch([{ type: NOTE, data: "never" }, { type: 3 as never, data: 1 as never }]),
    TypeError,
    "type 3 has no codec",
  );
  await assertRejects(() => client.sendBatch("text" as never), TypeError, `"messages" must be`);
  await client.link.send(JOB, "no JSON");
  await client.send(NOTE, "last");
  await client.flush();
  const seen: unknown[] = [];
  const take = async () => {
    for await (const batch of server.batches()) {
      seen.push(...batch.map(({ data }) => data));
      if (seen.at(-1) === "last") break;
    }
  };
  await assertRejects(take, SchemaError, "Cannot read the message");
  await take();
  assertEquals(seen, [{ id: 7 }, "soon", "last"]);
  await server.send(NOTE, "one");
  assertEquals(await client.receiveBatch({ maxMessages: 1 }), [{ type: NOTE, data: "one" }]);
  await client.close();
  assertEquals(await client.receiveBatch(), null);
});
