// Client: every way in which it ends, and that nothing is left then.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Client, type ClientStatusEvent, ClosedError, TimeoutError } from "@parley/parley";
import { text } from "../support/bytes.ts";
import { clientOf, ClientPeer, next, soon, take } from "../support/peers/client_peer.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { runProgram } from "../support/programs/program.ts";
import { codeOf, lines } from "../support/peers/servers.ts";
import { testCerts } from "../support/programs/certs.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";
import { watchedSignal } from "../support/watched_signal.ts";

Deno.test("Client.close() ends dialling at once", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { ca } = await testCerts();
  const client = new Client({ port: listener.addr.port, tls: { caCerts: [ca.cert] } });
  const conn = await listener.accept();
  const start = performance.now();
  await client.close();
  // The deadline of dialling is at 10 s.
  assert(performance.now() - start < 5000);
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

Deno.test("Client hangs up when its server ends its direction: what was not begun goes to the next link at once", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const size = 1 << 24;
  const bounds = { maxMessageBytes: size, highWaterBytes: 2 * size };
  await using client = new Client({
    port: listener.addr.port,
    ...lines,
    ...bounds,
    reconnect: soon,
  });
  const statuses = client.statuses();
  const first = await listener.accept();
  await client.send("x".repeat(size));
  await settle();
  await client.send("kept");
  await first.closeWrite();
  // It would read to the end: closing in order would hand it what is for the next link.
  const reading = first.readable.pipeTo(new WritableStream()).catch(() => {});
  const { loss, serverLeft } = await next(statuses, "reconnecting");
  assertEquals([loss?.uncertainMessages, loss?.keptMessages, serverLeft], [1, 1, "orderly"]);
  const second = await settles("the next link", listener.accept());
  const bytes = new Uint8Array(100);
  assertEquals(
    text(bytes.subarray(0, (await settles("what was kept", second.read(bytes)))!)),
    "kept\n",
  );
  await reading;
  second.close();
  listener.close();
});

Deno.test("Client.close() during the trial of a link ends it at once", async () => {
  await using peer = await ClientPeer.start();
  const client = clientOf(peer, { trialMs: 60_000 });
  const link = await peer.link();
  const waiting = client.send("waits");
  await settles("close()", client.close(), 5000);
  await assertRejects(() => waiting, ClosedError, "client was closed");
  await link.inputEnded;
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
  const client = clientOf(peer, {
    closeTimeoutMs: 40,
    maxMessageBytes: 1 << 25,
    highWaterBytes: 1 << 25,
  });
  const link = await peer.link();
  const statuses = client.statuses();
  await client.send("handed");
  await client.flush();
  await client.send("x".repeat(1 << 24));
  const error = await assertRejects(() => client.close(), ClosedError, "could not be written");
  assertEquals([error.code, error.unsentBytes], ["ERR_CLOSED", 1 << 24]);
  assertEquals(codeOf(error.cause), "ERR_WRITE_TIMEOUT");
  const { loss } = await next(statuses, "closed");
  assertEquals(loss, {
    handedMessages: 1,
    uncertainMessages: 1,
    keptMessages: 0,
    earlierMessages: 0,
  });
  link.abort();
});

Deno.test("Client.close() takes no longer than closeTimeoutMs when messages still wait for room on the link", async () => {
  await using peer = await ClientPeer.start({ readAheadBytes: 1024 });
  const client = clientOf(peer, {
    closeTimeoutMs: 30,
    maxMessageBytes: 1 << 25,
    maxQueuedBytes: 1 << 26,
  });
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
  assertEquals(loss, {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 1,
    earlierMessages: 0,
  });
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
  assertEquals([code, stdout.includes("failed 3"), stdout.includes("never ready")], [
    0,
    true,
    true,
  ]);
});

/** Options with which a message can be larger than any buffer of the kernel. */
const LARGE = { maxMessageBytes: 2 ** 24, highWaterBytes: 2 ** 24, maxQueuedBytes: 2 ** 26 };

Deno.test("Client.close({ timeoutMs }) cuts a server that does not read, and refuses wrong options", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, LARGE);
  await client.ready;
  await assertRejects(() => client.close({ timeoutMs: -1 }), RangeError, '"timeoutMs"');
  await assertRejects(() => client.close({ within: 5 } as object), TypeError, '"within"');
  assertEquals(client.status, "connected");
  await client.send(new Uint8Array(2 ** 23).fill(65));
  const closing = assertRejects(() => client.close({ timeoutMs: 30 }), ClosedError);
  assertEquals((await settles("the close", closing)).code, "ERR_CLOSED");
  await client.closed;
  client.abort(); // the disposal at the end of this test must not reject
});

Deno.test("Client.abort() ends at once: what waits rejects, and nothing is left", async () => {
  await using peer = await ClientPeer.start();
  const client = clientOf(peer, { ...LARGE, highWaterBytes: 1024 });
  await client.ready;
  const { connection } = client;
  const reason = new Error("enough");
  const sends = Array.from({ length: 4 }, () => client.send(new Uint8Array(2 ** 23).fill(65)));
  const sending = Promise.allSettled(sends);
  client.abort(reason);
  client.abort(new Error("again"));
  await settles("closed", client.closed);
  const last = (await settles("every send", sending)).at(-1)!;
  assertEquals(last.status === "rejected" && codeOf(last.reason), "ERR_CLOSED");
  assertStrictEquals((await connection!.closed).error?.cause, reason);
  assertEquals([client.status, client.connection], ["closed", null]);
  assertEquals(await client.receive().catch(codeOf), null);
  await client[Symbol.asyncDispose]();
});
