// Client: sending, receiving, statuses, counters, and every way in which it ends.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  Client,
  type ClientOptions,
  type ClientStatusEvent,
  ClosedError,
  FramingError,
  LimitError,
  TimeoutError,
} from "@parley/parley";
import { text, utf8 } from "./support/bytes.ts";
import { ClientPeer } from "./support/client_peer.ts";
import { isSettled, settle } from "./support/memory_connections.ts";
import { runProgram } from "./support/program.ts";
import { codeOf, echo, lines, started } from "./support/servers.ts";
import { testCerts } from "./support/certs.ts";
import { TempDir } from "./support/temp_dir.ts";
import { openDescriptors, settles, until } from "./support/wait.ts";
import { watchedSignal } from "./support/watched_signal.ts";

/** Dials again soon. */
const soon = { minDelayMs: 1, maxDelayMs: 4 };

function clientOf(peer: ClientPeer, options: Partial<ClientOptions> = {}): Client {
  return new Client({ port: peer.port, ...lines, reconnect: soon, ...options });
}

/** The next event of this status. */
async function next(
  statuses: AsyncIterator<ClientStatusEvent, undefined>,
  status: ClientStatusEvent["status"],
): Promise<ClientStatusEvent> {
  for (;;) {
    const { value } = await settles(`status ${status}`, statuses.next());
    if (value === undefined) throw new Error(`No status ${status} came`);
    if (value.status === status) return value;
  }
}

async function take(client: Client): Promise<string | null> {
  const message = await settles("a message", client.receive());
  return message === null ? null : text(message);
}

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
    await using client = new Client({ ...listening.server.addr as object, ...lines, ...clientOptions });
    assertEquals([client.status, client.connection], ["connecting", null]);
    await client.ready;
    assertEquals([client.status, client.connection?.state], ["connected", "open"]);
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
  assertEquals(events[lost]!.loss, { handedMessages: 0, uncertainMessages: 0, keptMessages: 0 });
  assertEquals([events[lost]!.attempt, codeOf(events[lost]!.error)], [1, "ERR_CLOSED"]);
  const failed = events[lost + 1]!;
  assertEquals([failed.loss, failed.attempt, codeOf(failed.error)], [undefined, 2, "ERR_CONNECT_REFUSED"]);
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
  await assertRejects(() => client.send(5 as unknown as string), TypeError, "a string or a Uint8Array");
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
  try {
    await using peer = await ClientPeer.start();
    const client = clientOf(peer, { highWaterBytes: 1000, maxQueuedBytes: 1000, closeTimeoutMs: 10 });
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5; i++) client.send("x".repeat(700));
      client.send("a\nb");
      client.flush();
      client.receive({ timeoutMs: 1 });
      client.receive();
      client.receive();
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
    await hopeless.closed;
    hopeless.close();
    await settle();
  } finally {
    removeEventListener("unhandledrejection", onUnhandled);
  }
  assertEquals(unheard, []);
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

Deno.test("Client tells of received messages that it drops, as nobody reads them", async () => {
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

Deno.test("Client.close() ends dialling at once", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { ca } = await testCerts();
  const client = new Client({ port: listener.addr.port, tls: { caCerts: [ca.cert] } });
  const conn = await listener.accept();
  const start = performance.now();
  await client.close();
  assert(performance.now() - start < 1000);
  assertEquals(client.status, "closed");
  // Nothing of ours is left: the server reads to an end.
  await conn.readable.pipeTo(new WritableStream()).catch(() => {});
  listener.close();
});

Deno.test("Client.close() in the very moment in which the link comes up leaves nothing open", async () => {
  await using peer = await ClientPeer.start();
  const { connect } = Deno;
  let client: Client | undefined;
  let hops = 0;
  Deno.connect = (async (options: Deno.ConnectOptions) => {
    const conn = await connect(options);
    const closing = client!;
    const hop = (left: number): void =>
      left === 0 ? void closing.close() : queueMicrotask(() => hop(left - 1));
    hop(hops);
    return conn;
  }) as typeof Deno.connect;
  try {
    // Some of these fall between the end of dialling and the use of the link.
    for (hops = 0; hops < 40; hops++) {
      client = clientOf(peer);
      const statuses = Array.fromAsync(client.statuses());
      await settles("closed", client.closed);
      const seen = (await statuses).map(({ status }) => status);
      assert(
        [["connecting", "closed"], ["connecting", "connected", "closed"]].some((all) =>
          `${all}` === `${seen}`
        ),
      );
      assertEquals([client.connection, client.status], [null, "closed"]);
    }
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("Client.close() hands everything to a server that has ended its own direction meanwhile", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const size = 1 << 24;
  const client = new Client({ port: listener.addr.port, ...lines, maxMessageBytes: size });
  const conn = await listener.accept();
  await client.send("x".repeat(size));
  const closing = client.close();
  await conn.closeWrite();
  let received = 0;
  for await (const chunk of conn.readable) received += chunk.length;
  await closing;
  assertEquals(received, size + 1);
  listener.close();
});

Deno.test("Client.close() ends a wait before the next attempt at once", async () => {
  await using peer = await ClientPeer.start();
  await peer.stop();
  const client = clientOf(peer, { reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000 } });
  const statuses = client.statuses();
  for (let failed = false; !failed;) failed = (await statuses.next()).value?.delayMs === 60_000;
  await settles("close()", client.close(), 1000);
  assertEquals(client.status, "closed");
});

Deno.test("Client.close() hands over what was sent, also what waits for room, and is idempotent", async () => {
  await using peer = await ClientPeer.start();
  const client = clientOf(peer, { highWaterBytes: 1000 });
  await client.ready;
  for (let i = 0; i < 200; i++) client.send(`${i}`.padEnd(500, "."));
  const closing = client.close();
  assertStrictEquals(client.close(), closing);
  await assertRejects(() => client.send("late"), ClosedError);
  const link = await peer.link();
  const received = Array.fromAsync(link, (message) => parseInt(text(message)));
  await closing;
  await link.close();
  assertEquals(await received, Array.from({ length: 200 }, (_, i) => i));
  await client.closed;
});

Deno.test("Client.close() leaves what was received to be read", async () => {
  await using peer = await ClientPeer.start();
  const client = clientOf(peer);
  const link = await peer.link();
  link.send("1");
  link.send("2");
  await link.flush();
  await until("it is here", () => client.stats().overall.bytesIn === 4);
  await client.close();
  assertEquals([await take(client), await take(client), await take(client)], ["1", "2", null]);
});

Deno.test("Client.close() rejects with what was accepted and not handed over", async () => {
  await using peer = await ClientPeer.start({ readAheadBytes: 1024 });
  const client = clientOf(peer, { closeTimeoutMs: 40, maxMessageBytes: 1 << 25, highWaterBytes: 1 << 25 });
  const link = await peer.link();
  const statuses = client.statuses();
  await client.send("handed");
  await client.flush();
  await client.send("x".repeat(1 << 24));
  const error = await assertRejects(() => client.close(), ClosedError, "could not be handed over");
  assertEquals([error.code, error.unsentBytes], ["ERR_CLOSED", 1 << 24]);
  assertEquals(codeOf(error.cause), "ERR_WRITE_TIMEOUT");
  const { loss } = await next(statuses, "closed");
  assertEquals(loss, { handedMessages: 1, uncertainMessages: 1, keptMessages: 0 });
  link.abort();
});

Deno.test("Client.close() takes no longer than closeTimeoutMs when messages still wait for room on the link", async () => {
  await using peer = await ClientPeer.start({ readAheadBytes: 1024 });
  const client = clientOf(peer, { closeTimeoutMs: 30, maxMessageBytes: 1 << 25, maxQueuedBytes: 1 << 26 });
  const link = await peer.link();
  await client.send("x".repeat(1 << 24));
  const waiting = client.send("waits");
  const flushing = client.flush();
  const error = await assertRejects(() => settles("close()", client.close(), 1000), ClosedError);
  assertEquals([error.unsentBytes, codeOf(error.cause)], [1 << 24, "ERR_WRITE_TIMEOUT"]);
  await assertRejects(() => waiting, ClosedError, "client was closed");
  await assertRejects(() => flushing, ClosedError);
  link.abort();
});

Deno.test("Client.close() rejects when the client had given up on accepted messages", async () => {
  await using peer = await ClientPeer.start({ readAheadBytes: 1024 });
  const client = clientOf(peer, {
    maxMessageBytes: 1 << 25,
    highWaterBytes: 1 << 26,
    reconnect: { ...soon, maxAttempts: 0 },
  });
  await client.ready;
  await client.send("x".repeat(1 << 24));
  await settle();
  await client.send("kept");
  await peer.stop();
  await client.closed;
  const [{ loss }] = (await Array.fromAsync(client.statuses())) as [ClientStatusEvent];
  assertEquals(loss, { handedMessages: 0, uncertainMessages: 1, keptMessages: 1 });
  const error = await assertRejects(() => client.close(), ClosedError);
  assertEquals(error.unsentBytes, (1 << 24) + 4);
});

Deno.test("Client options' signal closes it: before it begins, while it dials, and while it is connected", async () => {
  await using peer = await ClientPeer.start();
  const reason = new Error("Enough");
  for (const when of ["before", "dialling", "connected"]) {
    const controller = new AbortController();
    if (when === "before") controller.abort(reason);
    const client = clientOf(peer, { signal: controller.signal });
    const received = client.receive();
    if (when === "connected") await client.ready;
    controller.abort(reason);
    await settles("closed", client.closed);
    assertEquals([await received, client.status], [null, "closed"]);
    if (when === "connected") await client.ready;
    else assertStrictEquals(await client.ready.catch((why) => why), reason);
    await client.close();
  }
});

Deno.test("Client takes its listeners off a signal that lives on", async () => {
  await using peer = await ClientPeer.start();
  const watched = watchedSignal();
  const client = clientOf(peer, { signal: watched.signal });
  await client.ready;
  assertEquals(watched.listeners, 1);
  const waiting = client.receive({ signal: watched.signal, timeoutMs: 5 });
  assertEquals(watched.listeners, 2);
  await assertRejects(() => waiting, TimeoutError);
  assertEquals(watched.listeners, 1);
  await client.close();
  assertEquals(watched.listeners, 0);
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
      framingErrors: 0,
    });
    await client.close();
    assertEquals([client.stats().overall.connectionsClosed, client.stats().connection], [links, null]);
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

Deno.test({
  name: "Client leaves no descriptor open, however it ends",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using peer = await ClientPeer.start();
    const before = openDescriptors();
    for (let i = 0; i < 5; i++) {
      const client = clientOf(peer);
      if (i % 2 === 0) await client.ready;
      await client.send("x");
      await client.close();
    }
    await until("descriptors are free", () => openDescriptors() <= before);
  },
});

Deno.test("Client keeps its process alive while it is open, and not after", async () => {
  const program = (body: string) =>
    `import { Client } from "@parley/parley";
     const client = new Client({ port: 1, reconnect: { minDelayMs: 50, maxDelayMs: 50 } });
     ${body}
     client.ready.catch(() => console.log("never ready"));`;
  await using dir = new TempDir();
  await Deno.writeTextFile(
    `${dir.path}/closes.ts`,
    program(`let failures = 0;
     void (async () => {
       for await (const { delayMs } of client.statuses()) if (delayMs && ++failures === 3) client.close();
       console.log("failed", failures);
     })();`),
  );
  const { code, stdout } = await runProgram(new URL(`file://${dir.path}/closes.ts`).href);
  assertEquals([code, stdout.includes("failed 3"), stdout.includes("never ready")], [0, true, true]);
});
