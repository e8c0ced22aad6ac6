// Tests of listenTransport() and connectTransport(): bare transports both ways, and clients that
// hold up no other.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { AddressError, ClosedError, TimeoutError } from "../../errors.ts";
import {
  Connection,
  connectTransport,
  type ConnectTransportOptions,
  listenTransport,
  type ListenTransportOptions,
  type Transport,
  type TransportErrorContext,
  type TransportListener,
} from "@parley/parley";
import { utf8 } from "../support/bytes.ts";
import { testCerts } from "../support/programs/certs.ts";
import { ListenWatch } from "../support/listen_watch.ts";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";

const linux = Deno.build.os === "linux";

/** Where a listener of this process is, as an option of a client. */
function target(listener: TransportListener): ConnectTransportOptions {
  return { ...listener.addr } as ConnectTransportOptions;
}

/** A listener that listens. */
async function started(options: ListenTransportOptions = {}): Promise<TransportListener> {
  const listener = listenTransport(options);
  await listener.ready;
  return listener;
}

/** TLS of both sides. */
async function tls(): Promise<
  { server: ListenTransportOptions["tls"]; client: ConnectTransportOptions["tls"] }
> {
  const { server, ca } = await testCerts();
  return { server: { cert: server.cert, key: server.key }, client: { caCerts: [ca.cert] } };
}

/** Both ends say something and hear it. */
async function assertJoined(near: Transport, far: Transport): Promise<void> {
  await near.write(utf8("there"));
  assertEquals(await far.read(), utf8("there"));
  await far.write(utf8("and back"));
  assertEquals(await near.read(), utf8("and back"));
  near.close();
  far.close();
}

Deno.test("listenTransport() hands out connections as they come, over TCP and TLS", async () => {
  const { server, client } = await tls();
  for (const secure of [false, true]) {
    await using listener = await started(secure ? { tls: server } : {});
    const where = { ...target(listener), tls: secure ? client : undefined, hostname: "localhost" };
    const near = await settles("connecting", connectTransport(secure ? where : target(listener)));
    const far = await settles("accept()", listener.accept());
    assert(far !== null);
    assertEquals(near.tls !== undefined, secure);
    await assertJoined(near, far);
  }
});

Deno.test({
  name: "listenTransport() listens on a unix socket that only its user may use",
  ignore: !linux,
  async fn() {
    await using directory = new TempDir();
    const path = `${directory.path}/s.sock`;
    await using listener = await started({ path });
    assertEquals(listener.addr, { transport: "unix", path });
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
    const near = await connectTransport({ path });
    await assertJoined(near, (await listener.accept())!);
  },
});

Deno.test("listenTransport() and connectTransport() make what Connection takes", async () => {
  await using listener = await started();
  const near = new Connection(await connectTransport(target(listener)));
  const far = new Connection((await listener.accept())!);
  await near.send("a message");
  assertEquals(await far.receive(), utf8("a message"));
  const closing = near.close();
  assertEquals(await far.receive(), null);
  await far.close();
  await closing;
});

Deno.test("TransportListener iterates to its end, and touches nothing that it handed out", async () => {
  const listener = await started();
  const taken: Transport[] = [];
  const iterating = (async () => {
    for await (const transport of listener) taken.push(transport);
  })();
  const near = [await connectTransport(target(listener)), await connectTransport(target(listener))];
  await until("both were handed out", () => taken.length === 2);
  await settles("shutdown()", listener.shutdown());
  await settles("the iteration", iterating);
  assertEquals(listener.state, "stopped");
  assertEquals(await listener.accept(), null);
  for (const [index, transport] of taken.entries()) await assertJoined(near[index]!, transport);
});

Deno.test("TransportListener.accept() that is given up loses no connection", async () => {
  await using listener = await started();
  const late = await assertRejects(() => listener.accept({ timeoutMs: 1 }), TimeoutError);
  assertEquals(late.code, "ERR_READ_TIMEOUT");
  const reason = new Error("changed my mind");
  assertStrictEquals(await errorOf(listener.accept({ signal: AbortSignal.abort(reason) })), reason);
  const controller = new AbortController();
  const accepting = listener.accept({ signal: controller.signal });
  controller.abort(reason);
  assertStrictEquals(await errorOf(accepting), reason);
  const near = await connectTransport(target(listener));
  await assertJoined(near, (await settles("accept()", listener.accept()))!);
  await assertRejects(() => listener.accept({ timeoutMs: -1 }), RangeError);
});

Deno.test("TransportListener hands connections to those who wait, the longest first", async () => {
  await using listener = await started();
  const accepting = [listener.accept(), listener.accept()];
  const first = await connectTransport(target(listener));
  await assertJoined(first, (await settles("the first", accepting[0]!))!);
  const second = await connectTransport(target(listener));
  await assertJoined(second, (await settles("the second", accepting[1]!))!);
});

Deno.test("TransportListener lets no more than maxWaiting wait, the rest with the kernel, and loses none", async () => {
  await using listener = await started({ maxWaiting: 2 });
  const near = await Promise.all(
    Array.from({ length: 8 }, () => connectTransport(target(listener))),
  );
  await until("two wait", () => listener.waiting === 2);
  const far: Transport[] = [];
  while (far.length < near.length) {
    assert(listener.waiting <= 2, `${listener.waiting} wait`);
    far.push((await settles("accept()", listener.accept()))!);
  }
  for (const transport of [...near, ...far]) transport.close();
});

Deno.test("TransportListener is not held up by clients that say nothing in their TLS handshake", async () => {
  const { server, client } = await tls();
  await using listener = await started({ tls: server, maxPending: 2 });
  const { port } = listener.addr as Deno.NetAddr;
  const silent = await Promise.all(
    Array.from({ length: 4 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  const dialling = connectTransport({ port, hostname: "localhost", tls: client });
  const far = await settles("accept()", listener.accept());
  await assertJoined(await settles("connecting", dialling), far!);
  for (const conn of silent) conn.close();
});

Deno.test("TransportListener tells onError of handshakes that fail or take too long, and goes on", async () => {
  const { server, client } = await tls();
  const told: string[] = [];
  const onError = (error: unknown, { phase }: TransportErrorContext) =>
    void told.push(`${phase} ${codeOf(error)}`);
  await using listener = await started({ tls: server, handshakeTimeoutMs: 400, onError });
  const { port } = listener.addr as Deno.NetAddr;
  const plain = await connectTransport({ port });
  await plain.write(utf8("GET / HTTP/1.1\r\n\r\n"));
  await until("the failed one is told", () => told.length === 1);
  const silent = await connectTransport({ port });
  await until("the late one is told", () => told.length === 2);
  assertEquals(told, ["handshake ERR_TLS_HANDSHAKE", "handshake ERR_HANDSHAKE_TIMEOUT"]);
  const near = connectTransport({ port, hostname: "localhost", tls: client });
  const far = await settles("accept()", listener.accept());
  await assertJoined(await near, far!);
  for (const transport of [plain, silent]) transport.close();
});

Deno.test("TransportListener that ends closes what was not taken", async () => {
  for (const way of ["shutdown()", "abort()", "its signal"]) {
    const controller = new AbortController();
    const listener = await started({ signal: controller.signal });
    const near = await connectTransport(target(listener));
    await until("it waits", () => listener.waiting === 1);
    if (way === "shutdown()") await listener.shutdown();
    else if (way === "abort()") listener.abort();
    else controller.abort();
    await settles(way, listener.finished);
    assertEquals([listener.waiting, listener.state], [0, "stopped"]);
    assertEquals(await near.read().catch(() => null), null);
    near.close();
  }
});

Deno.test("TransportListener.abort() tells its reason to who waits, and ever after", async () => {
  const listener = await started();
  const accepting = listener.accept();
  const reason = new Error("enough");
  listener.abort(reason);
  listener.abort(new Error("too late"));
  assertStrictEquals(await errorOf(accepting), reason);
  assertStrictEquals(await errorOf(listener.accept()), reason);
  await settles("finished", listener.finished);
});

Deno.test("TransportListener that cannot listen tells ready, finished and who waits, and nothing else", async () => {
  await using first = await started();
  const { port } = first.addr as Deno.NetAddr;
  const told: string[] = [];
  const listener = listenTransport({
    port,
    onError: (error, { phase }) => told.push(`${phase} ${codeOf(error)}`),
  });
  assertThrows(() => listener.addr, ClosedError, "does not listen yet: await `ready` first");
  const accepting = errorOf(listener.accept());
  const error = await assertRejects(() => listener.ready, AddressError);
  assertEquals(error.code, "ERR_ADDRESS_IN_USE");
  for (const one of [listener.finished, listener.accept()]) {
    assertStrictEquals(await errorOf(one), error);
  }
  assertStrictEquals(await accepting, error);
  assertEquals(told, []);
  await listener.shutdown();
});

Deno.test("TransportListener that cannot listen tells onError where its caller asks for no promise", async () => {
  await using first = await started();
  const told = Promise.withResolvers<string>();
  listenTransport({
    port: (first.addr as Deno.NetAddr).port,
    onError: (error, { phase }) => told.resolve(`${phase} ${codeOf(error)}`),
  });
  assertEquals(await settles("the report", told.promise), "listen ERR_ADDRESS_IN_USE");
});

for (const secure of [false, true]) {
  for (const way of ["shutdown()", "abort()", "its signal", "its signal before"]) {
    const over = secure ? "TLS" : "TCP";
    Deno.test(`TransportListener over ${over} that ${way} ends while it begins to listen leaves nothing open`, async () => {
      const { server } = await tls();
      const controller = new AbortController();
      const reason = new Error("changed my mind");
      using watch = new ListenWatch(() => {
        if (way === "shutdown()") void listener.shutdown();
        else if (way === "abort()") listener.abort(reason);
        else controller.abort(reason);
      });
      if (way === "its signal before") controller.abort(reason);
      const listener = listenTransport({ signal: controller.signal, ...secure && { tls: server } });
      const error = await settles("ready", errorOf(listener.ready));
      if (way === "shutdown()") assertEquals(codeOf(error), "ERR_GOING_AWAY");
      else assertStrictEquals(error, reason);
      await settles("finished", listener.finished);
      assertEquals(listener.state, "stopped");
      assertEquals(watch.opened > 0, way !== "its signal before");
      assertEquals(watch.closeOpen(), 0, "listeners left open");
    });
  }
}

const WRONG: readonly (readonly [
  options: unknown,
  kind: typeof TypeError | typeof RangeError,
  names: string,
])[] = [
  [null, TypeError, `"options"`],
  [{ port: 65536 }, RangeError, `"port"`],
  [{ hostname: "" }, TypeError, `"hostname"`],
  [{ path: "" }, TypeError, `"path"`],
  [{ path: "/run/s", port: 1 }, TypeError, `"path" excludes`],
  [{ mode: 0o600 }, TypeError, `"mode"`],
  [{ tls: "yes" }, TypeError, `"tls"`],
  [{ signal: {} }, TypeError, `"signal"`],
  [{ onError: 1 }, TypeError, `"onError"`],
  [{ handshakeTimeoutMs: -1 }, RangeError, `"handshakeTimeoutMs"`],
  [{ maxPending: 0 }, RangeError, `"maxPending"`],
  [{ maxPendingPerSource: 65537 }, RangeError, `"maxPendingPerSource"`],
  [{ maxWaiting: 0 }, RangeError, `"maxWaiting"`],
  [{ maxWaiting: 1.5 }, RangeError, `"maxWaiting"`],
  [{ noDelay: 1 }, TypeError, `"noDelay"`],
  [{ penalties: { maxMs: -1 } }, RangeError, `"maxMs"`],
];

for (const [options, Kind, names] of WRONG) {
  Deno.test(`listenTransport() refuses ${JSON.stringify(options)} before it listens`, () => {
    assertThrows(() => listenTransport(options as ListenTransportOptions), Kind, names);
  });
}

Deno.test("connectTransport() refuses wrong options before it dials, and gives up in time", async () => {
  await assertRejects(() => connectTransport({}), TypeError, `neither "port" nor "path"`);
  await assertRejects(() => connectTransport({ port: 0 }), RangeError, `"port"`);
  await assertRejects(
    () => connectTransport({ port: 1, path: "/run/s" }),
    TypeError,
    `"path" excludes`,
  );
  const reason = new Error("changed my mind");
  const aborted = connectTransport({ port: 1, signal: AbortSignal.abort(reason) });
  assertStrictEquals(await errorOf(aborted), reason);
  const { client } = await tls();
  await using silent = await started();
  const late = connectTransport({ ...target(silent), tls: client, timeoutMs: 20 });
  assertEquals(codeOf(await settles("the deadline", errorOf(late))), "ERR_CONNECT_TIMEOUT");
});

Deno.test("TransportListener ends no process when a wait that nothing hears of is aborted", async () => {
  const listener = await started();
  const reason = new Error("mine");
  void listener.accept();
  void listener.accept({ timeoutMs: 0 });
  void listener[Symbol.asyncIterator]().next();
  listener.abort(reason);
  assertStrictEquals(await errorOf(listener.accept()), reason);
  // A rejection that nothing hears of would fail this test in the next turn of the event loop.
  await settles("the end", listener.finished);
});
