// Batches of messages: all that are here at once, in order; sent together or not at all.
import { assertEquals, assertRejects } from "@std/assert";
import { connectIpc, type IpcMessage, listenIpc, pairIpc } from "../../ipc/mod.ts";
import { Inbox } from "../../ipc/link/inbox.ts";
import { settles } from "../support/wait.ts";
import { assertCode, Channel, text } from "./channels.ts";

const typesOf = (batch: readonly IpcMessage[] | null) => batch?.map(({ type }) => type);
const numbered = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ type: from + i, data: `${from + i}` }));

Deno.test("receiveBatch takes all that are here in order, maxMessages at most, and null at the end", async () => {
  await using channel = new Channel();
  const server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  await client.sendBatch(numbered(1, 5));
  await client.flush();
  assertEquals(typesOf(await server.receiveBatch({ maxMessages: 2 })), [1, 2]);
  const rest = await server.receiveBatch({ timeoutMs: 0 });
  assertEquals(rest?.map(({ type, data }) => [type, text(data)]), [[3, "3"], [4, "4"], [5, "5"]]);
  await assertCode("ERR_READ_TIMEOUT", () => server.receiveBatch({ timeoutMs: 0 }));
  const controller = new AbortController();
  const waiting = server.receiveBatch({ signal: controller.signal });
  const next = server.receiveBatch();
  controller.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  await client.sendBatch(numbered(6, 3));
  assertEquals(typesOf(await settles("the batch", next))?.[0], 6, "no message is lost");
  await server.shutdown();
  let last = await server.receiveBatch();
  while (last !== null) last = await server.receiveBatch();
  assertEquals(last, null);
});

Deno.test("receiveBatch returns the messages of one chunk together, and those before an error", async () => {
  const inbox = new Inbox<IpcMessage>({
    highWaterBytes: 1000,
    toMessage: (type, data) => ({ type, data }),
  });
  const waiting = inbox.readBatch();
  const behind = inbox.read();
  for (const type of [1, 2, 3, 4]) inbox.receive(type, new Uint8Array(0));
  inbox.end(new Error("lost"));
  assertEquals(typesOf(await waiting), [1, 3, 4]);
  assertEquals((await behind)?.type, 2, "a wait that began later has its place too");
  await assertRejects(() => inbox.readBatch(), Error, "lost");
});

Deno.test("receiveBatch lets a link that paused read on, however many messages it takes", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc({ ...channel.options, readAheadBytes: 1024 });
  const total = 3000;
  const sending = (async () => {
    const [from] = server.clients.values();
    for (let i = 0; i < total; i += 100) await from!.sendBatch(numbered(i + 1, 100));
  })();
  let next = 1;
  for await (const batch of client.batches()) {
    for (const { type } of batch) assertEquals(type, next++);
    if (next > total) break;
  }
  await sending;
});

Deno.test("batches of a server take turns between clients, and each client has its own", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using a = await connectIpc(channel.options);
  await using b = await connectIpc(channel.options);
  await a.sendBatch(numbered(1, 2));
  await a.flush();
  await b.sendBatch(numbered(11, 2));
  await b.flush();
  for await (const batch of server.batches()) {
    assertEquals(typesOf(batch), [1, 11, 2, 12]);
    assertEquals(batch.map(({ client }) => client.id), [
      a.sessionId,
      b.sessionId,
      a.sessionId,
      b.sessionId,
    ]);
    break;
  }
  const fromA = server.clients.get(a.sessionId!)!;
  await a.sendBatch(numbered(3, 2));
  await a.flush();
  assertEquals(typesOf(await fromA.receiveBatch()), [3, 4]);
  await fromA.sendBatch(numbered(21, 3));
  await fromA.flush();
  for await (const batch of a.batches()) {
    await a.sendBatch(batch); // a received message can be sent as it is
    break;
  }
  await a.flush();
  assertEquals(typesOf(await fromA.receiveBatch()), [21, 22, 23]);
});

Deno.test("sendBatch checks every message before the first is sent", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, maxMessageBytes: 1024 });
  await using client = await connectIpc(channel.options);
  const good = { type: 1, data: "good" };
  await assertRejects(() => client.sendBatch([good, { type: 0, data: "" }]), RangeError);
  await assertRejects(() => client.sendBatch([good, "bad" as never]), TypeError);
  await assertRejects(() => client.sendBatch([good, { type: 2, data: 5 as never }]), TypeError);
  await assertRejects(() => client.sendBatch("text" as never), TypeError);
  const tooLarge = { type: 2, data: new Uint8Array(1025) };
  await assertCode("ERR_FRAME_TOO_LARGE", () => client.sendBatch([good, tooLarge]));
  await client.sendBatch([]);
  await client.sendBatch(new Set([{ type: 7, data: "sent" }]));
  await client.flush();
  assertEquals(typesOf(await server.receiveBatch()), [7]);
  assertEquals(client.stats().overall.messagesOut, 1);
  await assertRejects(() => server.receiveBatch({ maxMessages: 0 }), RangeError);
  await assertRejects(() => server.receiveBatch({ max: 1 } as never), TypeError);
  await client.close();
  await assertCode("ERR_CLOSED", () => client.sendBatch([good]));
});

Deno.test("sendBatch may be larger than maxQueuedBytes, and waits for room as one send does", async () => {
  await using channel = new Channel();
  for (const encryption of [true, false]) {
    await using server = await listenIpc({ ...channel.options, encryption });
    await using client = await connectIpc({
      ...channel.options,
      encryption,
      highWaterBytes: 64 * 1024,
      maxQueuedBytes: 128 * 1024,
    });
    const messages = Array.from(
      { length: 60 },
      (_, i) => ({ type: i + 1, data: new Uint8Array([100, 20_000][i % 2]!).fill(i) }),
    );
    const sending = client.sendBatch(messages).then(() => client.send(61, "behind"));
    let next = 1;
    for await (const batch of server.batches()) {
      for (const { type, data } of batch) {
        assertEquals(type, next++);
        if (type <= 60) {
          assertEquals([data.length, data.at(-1)], [messages[type - 1]!.data.length, type - 1]);
        }
      }
      if (next > 61) break;
    }
    await settles("the batch", sending);
  }
});

Deno.test("sendBatch waits for the next link while there is none", async () => {
  await using channel = new Channel();
  await using one = await pairIpc(channel.options, () => "");
  const sending = one.sendBatch(numbered(1, 3));
  await using two = await pairIpc(channel.options, () => "");
  await settles("the batch", sending);
  await one.flush();
  assertEquals(typesOf(await two.receiveBatch()), [1, 2, 3]);
});
