// Ends of servers and clients: in order, by deadline, by loss; and what comes after.
import { assertEquals, assertRejects } from "@std/assert";
import { RemoteError, TimeoutError } from "../../errors.ts";
import { connectIpc, listenIpc, pairIpc, SecretKey } from "../../ipc/mod.ts";
import { settles, until } from "../support/wait.ts";
import { assertCode, Channel, text } from "./channels.ts";

Deno.test("close hands over what was written and answers what was asked; what was received can still be read", async () => {
  await using channel = new Channel();
  const answer = Promise.withResolvers<string>();
  await using server = await listenIpc({ ...channel.options, onQuery: () => answer.promise });
  const client = await connectIpc(channel.options);
  const asked = client.query("slow");
  for (let i = 1; i <= 50; i++) await client.send(i, new Uint8Array(10_000));
  const fromServer = [...server.clients.values()][0]!;
  await fromServer.send(77, "bye");
  await until("the query has arrived", () => fromServer.stats().queriesIn === 1);
  const closing = client.close();
  assertEquals(client.status, "closing");
  await assertCode("ERR_CLOSED", () => client.send(1, ""));
  answer.resolve("answered");
  assertEquals(text(await asked), "answered");
  // It takes until the server's process has received everything, and that reads ahead only so far.
  for (let i = 1; i <= 40; i++) assertEquals((await fromServer.receive())?.type, i);
  await settles("the close", Promise.all([closing, fromServer.closed]));
  assertEquals([client.status, fromServer.status], ["closed", "closed"]);
  for (let i = 41; i <= 50; i++) assertEquals((await fromServer.receive())?.type, i);
  assertEquals(await fromServer.receive(), null);
  assertEquals([text((await client.receive())?.data), await client.receive()], ["bye", null]);
  assertEquals(server.status, "listening");
});

Deno.test("close of a server ends its clients in order, and both can close at once", async () => {
  await using channel = new Channel();
  const server = await listenIpc(channel.options);
  const clients = await Promise.all(
    [1, 2, 3].map(() => connectIpc({ ...channel.options, reconnect: false })),
  );
  await server.send(5, "last words");
  await settles("all closes", Promise.all([server.shutdown(), clients[0]!.close()]));
  for (const client of clients) {
    assertEquals([text((await client.receive())?.data), await client.receive()], [
      "last words",
      null,
    ]);
    await client.closed;
  }
  assertEquals([server.status, clients[1]!.status, await server.receive()], [
    "closed",
    "disconnected",
    null,
  ]);
  await server.shutdown();
});

Deno.test("close at its deadline cuts, and counts what it cut", async () => {
  await using channel = new Channel();
  const never = new Promise<string>(() => {});
  const server = await listenIpc({ ...channel.options, onQuery: () => never });
  const client = await connectIpc({ ...channel.options, reconnect: false });
  const asked = client.query("?");
  asked.catch(() => {});
  await until(
    "the query has arrived",
    () => [...server.clients.values()][0]!.stats().queriesIn === 1,
  );
  const error = await assertRejects(() => server.shutdown({ timeoutMs: 50 }), TimeoutError);
  assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", 1]);
  await assertCode("ERR_RESET", () => asked);
  await client.closed;
  assertEquals(client.status, "disconnected");
});

Deno.test("a signal closes a server and a client in order", async () => {
  await using channel = new Channel();
  const controller = new AbortController();
  const { signal } = controller;
  const server = await listenIpc({ ...channel.options, signal });
  const client = await connectIpc({ ...channel.options, signal });
  await client.send(1, "x");
  await client.flush();
  controller.abort();
  await settles("both closed", Promise.all([server.finished, client.closed]));
  assertEquals([server.status, client.status], ["closed", "closed"]);
  assertEquals((await server.receive())?.type, 1);
});

Deno.test("abort ends now: everything pending rejects with the reason", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({
    ...channel.options,
    onQuery: () => new Promise<string>(() => {}),
  });
  const client = await connectIpc(channel.options);
  const reason = new Error("stop");
  const pending = [client.receive(), client.query("x"), client.receive({ timeoutMs: 5000 })];
  client.abort(reason);
  for (const wait of pending) {
    assertEquals(await settles("a wait", wait.catch((error) => error)), reason);
  }
  assertEquals([client.status, await client.send(1, "").catch((error) => error)], [
    "error",
    reason,
  ]);
  await until("the server notices", () => server.status === "listening");
});

Deno.test("a client connects again, tells of it, and goes on; queries wait for the link", async () => {
  await using channel = new Channel();
  const first = await listenIpc({ ...channel.options, onQuery: () => "first" });
  await using client = await connectIpc(channel.options);
  const statuses: string[] = [];
  const watching = (async () => {
    for await (const { status } of client.statuses()) statuses.push(status);
  })();
  assertEquals(text(await client.query("")), "first");
  await first.shutdown();
  await until("the loss", () => client.status === "reconnecting");
  const waiting = client.query("");
  const written = client.send(3, "later");
  await using second = await listenIpc({ ...channel.options, onQuery: () => "second" });
  assertEquals(text(await settles("the answer", waiting)), "second");
  await written;
  assertEquals((await second.receive())?.type, 3);
  await client.close();
  await watching;
  assertEquals(statuses, ["connected", "reconnecting", "connected", "closing", "closed"]);
});

Deno.test("a client whose secret is no longer accepted ends with ERR_AUTH", async () => {
  await using channel = new Channel();
  const first = await listenIpc({ ...channel.options, secret: SecretKey.generate() }).catch(() =>
    null
  );
  await first?.shutdown();
  const secret = SecretKey.generate();
  const good = await listenIpc({ ...channel.options, secret });
  const client = await connectIpc({ ...channel.options, secret });
  await good.shutdown();
  await using _other = await listenIpc({
    ...channel.options,
    secret: SecretKey.generate(),
    onError: () => {},
  });
  await settles("the end", client.closed);
  assertEquals(client.status, "error");
  await assertCode("ERR_AUTH", () => client.receive());
});

Deno.test("queries and writes without a server end at their time limits", async () => {
  await using channel = new Channel();
  const server = await listenIpc(channel.options);
  await using client = await connectIpc({ ...channel.options, writeTimeoutMs: 60 });
  await server.shutdown();
  await until("the loss", () => client.status === "reconnecting");
  await assertCode("ERR_CONNECT_TIMEOUT", () => client.query("", { timeoutMs: 40 }));
  await assertCode("ERR_WRITE_TIMEOUT", () => client.send(1, ""));
});

Deno.test("flush tells, once, that a connection was lost with messages that may not have arrived", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  await client.send(1, "a");
  await client.flush();
  await client.send(2, "b");
  [...server.clients.values()][0]!.abort(new Error("gone"));
  await until("the loss", () => client.status === "reconnecting" || client.sessionId === null);
  await until("the next connection", () => client.status === "connected");
  await assertCode("ERR_RESET", () => client.flush());
  await client.flush();
  await client.send(3, "c");
  await client.flush();
});

Deno.test("a client that was lost is told apart from one that closed", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  const lost = await connectIpc({ ...channel.options, reconnect: false });
  const seen = [...server.clients.values()][0]!;
  lost.abort(new Error("gone"));
  await assertCode("ERR_RESET", () => seen.receive());
  assertEquals(seen.status, "closed");
});

Deno.test("a server that is full says so, and has room again", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, maxClients: 2 });
  const first = await connectIpc(channel.options);
  await using _second = await connectIpc(channel.options);
  const error = await assertRejects(() => connectIpc(channel.options), RemoteError);
  assertEquals([error.code, server.clients.size], ["ERR_BUSY", 2]);
  await first.close();
  const third = await connectIpc(channel.options);
  assertEquals(server.clients.size, 2);
  await third.close();
});

Deno.test("close refuses options that are wrong, and closes nothing then", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  await using pair = await pairIpc({ ...channel.options, path: `${channel.path}2` }, () => "");
  const [there] = server.clients.values();
  const closes = [client, pair, there!].map((link) => (options: object) => link.close(options));
  for (const close of [...closes, (options: object) => server.shutdown(options)]) {
    await assertRejects(
      () => close({ forgood: true }),
      TypeError,
      "Cannot close: there is no option",
    );
    await assertRejects(() => close({ timeoutMs: -1 }), RangeError, '"timeoutMs"');
  }
  await assertRejects(() => there!.close({ forGood: 1 as never }), TypeError, '"forGood"');
  assertEquals([client.status, there!.status, pair.status], [
    "connected",
    "connected",
    "listening",
  ]);
});
