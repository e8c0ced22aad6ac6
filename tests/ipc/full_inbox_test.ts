// Links whose application does not read: they see their other side leave, answers pass, nothing is
// lost, and rest is no offence.
import { assertEquals, assertRejects } from "@std/assert";
import { ParleyError } from "../../errors.ts";
import { Inbox } from "../../ipc/link/inbox.ts";
import { IpcLink } from "../../ipc/link/link.ts";
import { connectIpc, listenIpc, pairIpc } from "../../ipc/mod.ts";
import { PlainLink } from "../../ipc/secure/frame_link.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { settles, until } from "../support/wait.ts";
import { Channel } from "./channels.ts";

const LARGE = new Uint8Array(2000);
const INFO = {
  role: "server" as const,
  sessionId: new Uint8Array(16),
  exporter: new Uint8Array(48),
  peerMaxMessageBytes: 1000,
  peerMaxRecordBytes: 65_536,
  maxRecordBytes: 65_536,
};

/** One end of a link in memory, whose application reads when the test does. */
class RestingSide {
  readonly inbox = new Inbox({ highWaterBytes: 1, toMessage: (type, data) => ({ type, data }) });
  readonly link: IpcLink;

  constructor(transport: Transport) {
    this.link = new IpcLink(new PlainLink(transport, INFO, new Uint8Array(0)), {
      limits: {
        ...{
          maxMessageBytes: 1000,
          highWaterBytes: 5000,
          maxQueuedBytes: 5000,
          readAheadBytes: 1024,
        },
        ...{
          channel: "resting",
          maxQueriesInFlight: 1,
          maxQueriesRunning: 1,
          closeTimeoutMs: 1000,
        },
        ...{
          keepaliveMs: 1000,
          keepaliveTimeoutMs: 1000,
          writeTimeoutMs: 2000,
          messageTimeoutMs: 1000,
        },
      },
      onQuery: undefined,
      inbox: this.inbox,
      onHandlerError: () => {},
    });
  }
}

/** One large message fills an inbox. */
const SMALL_INBOX = { readAheadBytes: 1024 };

for (const encryption of [true, false]) {
  const how = encryption ? "encrypted" : "plain";

  Deno.test(`IpcClient with a full inbox, ${how}, connects again after a loss, and its writes arrive`, async () => {
    await using channel = new Channel();
    const options = { ...channel.options, encryption };
    await using server = await listenIpc(options);
    await using client = await connectIpc({ ...options, ...SMALL_INBOX });
    const [first] = server.clients.values();
    await first!.send(5, LARGE);
    await first!.flush();
    first!.abort(new Error("cut"));
    await first!.closed;
    await until("the next link", () => server.clients.size === 1 && client.status === "connected");
    await client.send(3, "after the loss");
    assertEquals((await settles("the message", server.receive()))?.type, 3);
    assertEquals((await client.receive())?.type, 5); // and what came before the loss is still there
  });

  Deno.test(`IpcClient with a full inbox, ${how}, notices its loss by a write that fails`, async () => {
    await using channel = new Channel();
    const options = { ...channel.options, encryption };
    await using server = await listenIpc(options);
    const client = await connectIpc({ ...options, ...SMALL_INBOX, reconnect: false });
    const [there] = server.clients.values();
    // More than it reads ahead: the end of the line stands behind it.
    for (let i = 0; i < 3; i++) void there!.send(5, new Uint8Array(100_000)).catch(() => {});
    await until("the first message", () => client.stats().overall.messagesIn > 0);
    there!.abort(new Error("cut"));
    await there!.closed;
    for (let i = 0; i < 2; i++) await client.send(3, "x").catch(() => {});
    await settles("the end", client.closed);
    assertEquals(client.status, "disconnected");
  });

  Deno.test(`query under way at a process, ${how}, that aborts in the middle of a message fails with ERR_RESET`, async () => {
    await using channel = new Channel();
    const options = { ...channel.options, encryption };
    await using server = await listenIpc({ ...options, ...SMALL_INBOX });
    const asked = Promise.withResolvers<void>();
    const onQuery = () => (asked.resolve(), new Promise<string>(() => {}));
    const client = await connectIpc({ ...options, reconnect: false, onQuery });
    const [there] = server.clients.values();
    const failure = assertRejects(() => there!.query("?", { timeoutMs: 60_000 }), ParleyError);
    await asked.promise;
    void client.send(1, new Uint8Array(3_000_000)).catch(() => {});
    await until("a part of the message", () => there!.stats().bytesIn > 0);
    client.abort(new Error("Enough"));
    assertEquals((await settles("the failure", failure)).code, "ERR_RESET");
  });
}

Deno.test("close of a client whose inbox is full hears the answers to its queries, and ends in order", async () => {
  await using channel = new Channel();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<string>();
  await using server = await listenIpc({
    ...channel.options,
    onQuery: () => (asked.resolve(), answer.promise),
  });
  const client = await connectIpc({ ...channel.options, ...SMALL_INBOX, reconnect: false });
  const query = client.query("x");
  await asked.promise;
  const [there] = server.clients.values();
  await there!.send(9, LARGE);
  await there!.send(10, LARGE);
  await until("a full inbox", () => client.stats().overall.messagesIn > 0);
  const close = client.close();
  answer.resolve("answer");
  assertEquals(new TextDecoder().decode(await settles("the answer", query)), "answer");
  await settles("the close", close);
  assertEquals((await client.receive())?.type, 9); // what was received can still be read
});

Deno.test("close answers queries that waited for their turn, the last one too", async () => {
  await using channel = new Channel();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<string>();
  const onQuery = () => (asked.resolve(), answer.promise);
  const server = await listenIpc({ ...channel.options, onQuery, maxQueriesRunning: 1 });
  await using client = await connectIpc(channel.options);
  const queries = Promise.allSettled(["a", "b", "c"].map((question) => client.query(question)));
  await asked.promise;
  await until("all three", () => server.stats().overall.queriesIn === 3);
  const close = server.shutdown({ timeoutMs: 15_000 });
  answer.resolve("done");
  await settles("the close", close); // no ERR_DRAIN_TIMEOUT
  assertEquals((await queries).map(({ status }) => status), ["fulfilled", "rejected", "rejected"]);
});

Deno.test("pairIpc lets a second process in while the first writes without pause", async () => {
  await using channel = new Channel();
  await using first = await pairIpc(channel.options, () => "");
  let written = 0;
  const writing = (async () => {
    for (; written < 40; written++) await first.send(1, new Uint8Array(100_000));
  })();
  await using second = await settles("the second process", pairIpc(channel.options, () => ""));
  for (let i = 0; i < 40; i++) {
    assertEquals((await settles("a message", second.receive()))?.data.length, 100_000);
  }
  await writing;
});

Deno.test("pairIpc lets a process in again that aborted while the other one's inbox was full", async () => {
  await using channel = new Channel();
  await using first = await pairIpc(channel.options, () => "");
  const second = await pairIpc(channel.options, () => "");
  for (let i = 0; i < 2; i++) void second.send(1, new Uint8Array(300_000)).catch(() => {});
  await until("a full inbox", () => first.stats().overall.messagesIn > 0);
  second.abort(new Error("Gone"));
  await second.closed;
  await using again = await settles("the second process", pairIpc(channel.options, () => "again"));
  const before = await settles("what came before", first.receive());
  assertEquals([before?.type, before?.data.length], [1, 300_000]);
  await again.send(2, "here");
  for (let type = 1; type !== 2;) type = (await settles("a message", first.receive()))!.type;
  assertEquals(new TextDecoder().decode(await settles("an answer", first.query("?"))), "again");
});

Deno.test("a server that is full lets a client in when another has gone that it does not read from", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, ...SMALL_INBOX, maxClients: 1 });
  const first = await connectIpc(channel.options);
  for (let i = 0; i < 3; i++) void first.send(1, new Uint8Array(100_000)).catch(() => {});
  await until("a full inbox", () => server.stats().overall.messagesIn > 0);
  first.abort(new Error("gone"));
  await using _second = await settles("the next client", connectIpc(channel.options));
  assertEquals(server.clients.size, 1);
});

Deno.test("IpcLink lets two sides rest that have not read for longer than any of their times", async () => {
  const [near, far] = memoryPair({ bufferBytes: 64 });
  const sides = [near, far].map((transport) => new RestingSide(transport));
  for (const { link } of sides) link.start();
  const writes = sides.map(({ link }) => link.send(1, new Uint8Array(200)));
  await until("two full inboxes", () => sides.every(({ inbox }) => inbox.full));
  await Promise.all(writes);
  for (let nowMs = 0; nowMs < 60_000; nowMs += 500) {
    for (const { link } of sides) link.sweep(nowMs);
    await new Promise((resolve) => setTimeout(resolve, 0)); // signs of life go out, and no more fit in
  }
  assertEquals(sides.map(({ link }) => link.isOpen), [true, true]);
  for (const { inbox } of sides) assertEquals((await inbox.read())?.type, 1);
  const [left, right] = sides as [RestingSide, RestingSide];
  await left.link.send(3, new Uint8Array(1));
  assertEquals((await settles("a message", right.inbox.read()))?.type, 3);
  for (const { link } of sides) link.abort(new Error("done"));
});

Deno.test("IpcClient that writes one way, as fast as the other side reads, is not cut", async () => {
  await using channel = new Channel();
  // A minute at default settings, in less: longer than both times together.
  const times = { keepaliveMs: 700, keepaliveTimeoutMs: 900 };
  await using server = await listenIpc({ ...channel.options, ...times });
  await using client = await connectIpc({ ...channel.options, ...times, reconnect: false });
  let read = 0;
  const reading = (async () => {
    for await (const { data } of server) read += data.length;
  })();
  const block = new Uint8Array(3_000_000);
  let written = 0;
  for (const end = performance.now() + 2200; performance.now() < end; written += block.length) {
    await client.send(1, block);
  }
  await client.flush();
  await until("all of it", () => read === written);
  assertEquals(client.status, "connected");
  await client.close();
  await server.shutdown();
  await reading;
});

Deno.test("write passes a message that is larger than the whole queue, alone", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc({
    ...channel.options,
    highWaterBytes: 1024,
    maxQueuedBytes: 4096,
  });
  await client.send(1, new Uint8Array(1_000_000));
  assertEquals((await settles("the message", server.receive()))?.data.length, 1_000_000);
});
