// Client: sending, receiving, statuses and counters.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Client,
  type ClientStatusEvent,
  ClosedError,
  type Connection,
  FramingError,
  LimitError,
  serve,
  TimeoutError,
} from "@parley/parley";
import { text, utf8 } from "./support/bytes.ts";
import { clientOf, ClientPeer, next, soon, take } from "./support/peers/client_peer.ts";
import { isSettled, settle } from "./support/simulation/memory_connections.ts";
import { codeOf, echo, lines, started } from "./support/peers/servers.ts";
import { testCerts } from "./support/programs/certs.ts";
import { TempDir } from "./support/programs/temp_dir.ts";
import { until } from "./support/wait.ts";

Deno.test("Client talks over TCP, unix and TLS as connect() does", async () => {
  await using dir = new TempDir();
  const { ca, server } = await testCerts();
  for (
    const [serverOptions, clientOptions] of [
      [{}, {}],
      [{ tls: server }, { tls: { caCerts: [ca.cert] } }],
      ...Deno.build.os === "windows" ? [] : [[{ path: `${dir.path}/plain.sock` }, {}] as const],
    ] as const
  ) {
    await using listening = await started(serverOptions, echo);
    await using client = new Client({
      ...listening.server.addr as object,
      ...lines,
      ...clientOptions,
    });
    assertEquals([client.status, client.connection], ["connecting", null]);
    await client.ready;
    assertEquals([client.status, client.connection?.status], ["connected", "open"]);
    await client.send("Hi!");
    await client.send(utf8("Ho!"));
    await client.flush();
    assertEquals([await take(client), await take(client)], ["Hi!", "Ho!"]);
  }
});

Deno.test("Client.statuses() tells of every step in order, to each watcher", async () => {
  const peer = await ClientPeer.start();
  const client = clientOf(peer);
  const first = Array.fromAsync(client.statuses());
  const left = client.statuses();
  await client.ready;
  for await (const { status } of left) if (status === "connected") break;
  const slow = client.statuses();
  await peer.stop();
  await until("the client tries again", () => client.stats().overall.connectFailures > 2);
  await peer.listen();
  await peer.link();
  await until("the link is up", () => client.status === "connected");
  await client.close();
  const shorten = (events: ClientStatusEvent[]) => {
    const statuses = events.map(({ status }) => status);
    return statuses.filter((status, i) => status !== statuses[i - 1]);
  };
  const events = await first;
  const all = ["connecting", "connected", "reconnecting", "connected", "closed"];
  assertEquals(shorten(events), all);
  assertEquals(shorten(await Array.fromAsync(slow)), all.slice(1));
  assertEquals(await left.next(), { value: undefined, done: true });
  const lost = events.findIndex(({ status }) => status === "reconnecting");
  assertEquals(events[lost]!.loss, {
    handedMessages: 0,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 0,
  });
  assertEquals([events[lost]!.attempt, codeOf(events[lost]!.error)], [1, "ERR_CLOSED"]);
  const failed = events[lost + 1]!;
  assertEquals([failed.loss, failed.attempt, codeOf(failed.error)], [
    undefined,
    2,
    "ERR_CONNECT_REFUSED",
  ]);
  assert(events.every(({ at }, i) => i === 0 || at >= events[i - 1]!.at));
  assertEquals(client.status, "closed");
  await peer.stop();
});

Deno.test("Client.ready waits for the first link, and rejects when there never is one", async () => {
  await using peer = await ClientPeer.start();
  await peer.stop();
  const client = clientOf(peer);
  await until("an attempt fails", () => client.stats().overall.connectFailures > 0);
  assertEquals([await isSettled(client.ready), client.status], [false, "connecting"]);
  await peer.listen();
  await client.ready;
  await client.close();
  await client.ready;

  await peer.stop();
  const never = clientOf(peer);
  await never.close();
  await assertRejects(() => never.ready, ClosedError, "client was closed");
  const hopeless = clientOf(peer, { reconnect: { ...soon, maxAttempts: 1 } });
  assertEquals(codeOf(await hopeless.ready.catch((why) => why)), "ERR_CONNECT_REFUSED");
  await hopeless.closed;
});

Deno.test("Client.send() waits for the link, in order, and resolves when one has accepted the message", async () => {
  await using peer = await ClientPeer.start();
  await peer.stop();
  await using client = clientOf(peer);
  const sends = Promise.all([client.send("1"), client.send("2"), client.send("3")]);
  assertEquals(await isSettled(sends), false);
  await peer.listen();
  const link = await peer.link();
  await sends;
  await client.send("4");
  for (const wanted of ["1", "2", "3", "4"]) assertEquals(text((await link.receive())!), wanted);
});

Deno.test("Client.send() is bounded, refuses at once what the framing refuses, and rejects when closed", async () => {
  await using peer = await ClientPeer.start();
  await peer.stop();
  const client = clientOf(peer, { highWaterBytes: 2000, maxQueuedBytes: 2000 });
  const waiting = [client.send("x".repeat(300)), client.send("x".repeat(100))];
  const full = await assertRejects(() => client.send("x"), LimitError, `"maxQueuedBytes" is 2000`);
  assertEquals(full.code, "ERR_QUEUE_FULL");
  await assertRejects(() => client.send("a\nb"), FramingError);
  await assertRejects(
    () => client.send(5 as unknown as string),
    TypeError,
    "a string or a Uint8Array",
  );
  await assertRejects(() => client.flush(), ClosedError, "no link");
  await client.close();
  for (const send of [...waiting, client.send("late")]) {
    const error = await assertRejects(() => send, ClosedError, "client was closed");
    assertEquals(error.code, "ERR_CLOSED");
  }
  await assertRejects(() => client.flush(), ClosedError);
});

Deno.test("Client never rejects unheard, whatever is not awaited", async () => {
  const unheard: unknown[] = [];
  const onUnhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unheard.push(event.reason);
  };
  addEventListener("unhandledrejection", onUnhandled);
  const told: unknown[] = [];
  const logger = {
    debug() {},
    info() {},
    warn: (message: string, fields?: Record<string, unknown>) =>
      void (message.startsWith("A message was not sent") &&
        told.push(String(fields?.["error"]).split(":")[0])),
    error() {},
  };
  try {
    await using peer = await ClientPeer.start();
    const limits = { highWaterBytes: 1000, maxQueuedBytes: 1000, closeTimeoutMs: 10 };
    const client = clientOf(peer, { ...limits, logger });
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5; i++) client.send("x".repeat(700));
      client.send("a\nb");
      client.flush();
      client.receive({ timeoutMs: 1 });
      client.receive();
      client.receive();
      client[Symbol.asyncIterator]().next();
      await client.ready;
    }
    await peer.stop();
    client.send("kept");
    client.flush();
    client.close();
    client.send("late");
    await client.closed;
    const hopeless = clientOf(peer, { reconnect: false });
    hopeless.send("x");
    hopeless[Symbol.asyncIterator]().next();
    hopeless.receive();
    await hopeless.closed;
    hopeless[Symbol.asyncIterator]().next();
    hopeless.close();
    await settle();
  } finally {
    removeEventListener("unhandledrejection", onUnhandled);
  }
  assertEquals(unheard, []);
  // Mistakes of the caller are logged, and ends are not: the statuses report those.
  assertEquals(new Set(told), new Set(["ERR_QUEUE_FULL", "ERR_FRAME_MALFORMED"]));
});

Deno.test("Client.send() that is refused and awaited is told to the caller alone", async () => {
  await using peer = await ClientPeer.start();
  const told: string[] = [];
  const warn = (message: string) => void told.push(message);
  await using client = clientOf(peer, { logger: { debug() {}, info() {}, warn, error() {} } });
  for (const linked of [false, true]) {
    if (linked) await client.ready;
    await assertRejects(() => client.send("a\nb"), FramingError);
    await assertRejects(() => client.send(5 as unknown as string), TypeError);
    await settle();
  }
  assertEquals(told, []);
  void client.send("a\nb");
  await until("it is told", () => told.length === 1);
});

Deno.test("Client.statuses() tell whether the server left in order or vanished, and nothing of an end of our own", async () => {
  const { ca, server } = await testCerts();
  const options = { ...lines, reconnect: soon };
  // What each end is, over TLS and over TCP: an abort over TCP looks like an end in order.
  for (const [tls, afterAbort] of [[true, "vanished"], [false, "orderly"]] as const) {
    const links: Connection[] = [];
    const handler = async (link: Connection) => {
      links.push(link);
      await link.inputEnded;
    };
    await using listening = serve({ ...lines, ...tls && { tls: server }, onError() {} }, handler);
    await listening.ready;
    const trust = tls ? { tls: { caCerts: [ca.cert] } } : {};
    await using client = new Client({ ...listening.addr, ...options, ...trust });
    const statuses = client.statuses();
    const leave = async (how: (link: Connection) => unknown) => {
      await next(statuses, "connected");
      await until("the server has it", () => links.length > 0);
      how(links.pop()!);
      return (await next(statuses, "reconnecting")).serverLeft;
    };
    assertEquals(await leave((link) => link.close()), "orderly");
    assertEquals(await leave((link) => link.abort(new Error("Cut"))), afterAbort);
    assertEquals(await leave(() => client.connection!.abort(new Error("Ours"))), undefined);
    await next(statuses, "connected");
    await client.close();
    assertEquals((await next(statuses, "closed")).serverLeft, undefined);
  }
});

Deno.test("Client.receive() and iteration go on across links, with what a lost link held", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer);
  const first = await peer.link();
  first.send("1");
  first.send("2");
  await first.flush();
  assertEquals(await take(client), "1");
  await first.close();
  const second = await peer.link();
  second.send("3");
  await second.flush();
  assertEquals([await take(client), await take(client)], ["2", "3"]);

  const got: string[] = [];
  const iterating = (async () => {
    for await (const message of client) got.push(text(message));
  })();
  second.send("4");
  await second.close();
  const third = await peer.link();
  third.send("5");
  await until("all came", () => got.length === 2);
  await assertRejects(() => client.receive(), TypeError, "one reader at a time");
  await client.close();
  await iterating;
  assertEquals([got, await take(client)], [["4", "5"], null]);
});

Deno.test("Client iteration that is left closes nothing and loses nothing", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer);
  const link = await peer.link();
  for (const message of ["1", "2", "3"]) link.send(message);
  for await (const message of client) {
    assertEquals(text(message), "1");
    break;
  }
  const iterator = client[Symbol.asyncIterator]();
  assertEquals(text((await iterator.next()).value!), "2");
  assertEquals(await iterator.return!(), { value: undefined, done: true });
  assertEquals([await take(client), client.status], ["3", "connected"]);
});

Deno.test("Client.receive() that times out or is aborted loses nothing, also without a link", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer);
  const late = await assertRejects(() => client.receive({ timeoutMs: 5 }), TimeoutError);
  assertEquals(late.code, "ERR_READ_TIMEOUT");
  const controller = new AbortController();
  const waiting = client.receive({ signal: controller.signal });
  const link = await peer.link();
  const reason = new Error("Enough");
  controller.abort(reason);
  assertStrictEquals(await waiting.catch((why) => why), reason);
  await link.send("1");
  assertEquals(await take(client), "1");
});

Deno.test("Client tells of received messages that it drops because they are not read", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, { highWaterBytes: 1000, maxQueuedBytes: 100_000 });
  const statuses = client.statuses();
  let dropped = 0;
  for (let i = 0; i < 6; i++) {
    const link = await peer.link();
    await link.send("x".repeat(29_999));
    await link.close();
    dropped += (await next(statuses, "reconnecting")).droppedBytes ?? 0;
  }
  assertEquals(dropped, 90_000);
  for (let i = 0; i < 3; i++) assertEquals((await take(client))!.length, 29_999);
  assertEquals(await isSettled(client.receive({ timeoutMs: 1000 }).catch(() => {})), false);
});

Deno.test("Client with reconnect: false stays closed once the link is lost", async () => {
  await using peer = await ClientPeer.start();
  const orderly = clientOf(peer, { reconnect: false });
  const link = await peer.link();
  await link.send("1");
  await link.close();
  await orderly.closed;
  assertEquals([await take(orderly), await take(orderly)], ["1", null]);
  assertEquals((await Array.fromAsync(orderly.statuses())).map(({ error }) => error), [undefined]);
  await orderly.close();

  await peer.stop();
  const refused = clientOf(peer, { reconnect: false });
  assertEquals(codeOf(await refused.receive().catch((why) => why)), "ERR_CONNECT_REFUSED");
  const iterating = Array.fromAsync(refused);
  assertEquals(codeOf(await iterating.catch((why) => why)), "ERR_CONNECT_REFUSED");
  const [last] = await Array.fromAsync(refused.statuses());
  assertEquals([last!.status, codeOf(last!.error)], ["closed", "ERR_CONNECT_REFUSED"]);
  await refused.close();
});

Deno.test("Client.stats() counts over all links, or anew with each", async () => {
  for (const dropOldStats of [false, true]) {
    const peer = await ClientPeer.start();
    const client = clientOf(peer, { dropOldStats });
    const statuses = client.statuses();
    for (let i = 0; i < 3; i++) {
      const link = await peer.link();
      await client.send("four");
      await link.receive();
      await link.send("sixsix");
      await take(client);
      if (i === 2) break;
      await link.close();
      await next(statuses, "reconnecting");
    }
    const { overall, connection, state, kind } = client.stats();
    assertEquals([kind, state, connection?.messagesIn], ["client", "connected", 1]);
    const links = dropOldStats ? 1 : 3;
    assertEquals(overall, {
      bytesIn: 7 * links,
      bytesOut: 5 * links,
      messagesIn: links,
      messagesOut: links,
      connectAttempts: links,
      connectFailures: 0,
      connectionsOpened: links,
      connectionsClosed: links - 1,
      connectionsLost: 0,
      framingErrors: 0,
    });
    await client.close();
    assertEquals([client.stats().overall.connectionsClosed, client.stats().connection], [
      links,
      null,
    ]);
    await peer.stop();
  }
});

Deno.test("Client counts a link that ended by what is no message, tells why, and dials again", async () => {
  await using peer = await ClientPeer.start({ maxMessageBytes: 1000 });
  await using client = clientOf(peer, { maxMessageBytes: 10 });
  const statuses = client.statuses();
  const link = await peer.link();
  await link.send("far too long for it");
  const waiting = take(client);
  const { error } = await next(statuses, "reconnecting");
  assertEquals(codeOf(error), "ERR_FRAME_TOO_LARGE");
  assertEquals(client.stats().overall.framingErrors, 1);
  await (await peer.link()).send("short");
  assertEquals(await waiting, "short");
});
