// Tests of serveWorkers(): one server whose connections are spread over threads.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, type Connection, serve, serveWorkers, type WorkersServer } from "@parley/parley";
import { AddressError, ParleyError, type ServeWorkersOptions, TimeoutError } from "@parley/parley";
import { serveStats } from "@parley/parley/stats";
import { createCertificate, loadTls, writeIdentity } from "@parley/parley/tls";
import { ask, lines } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { testCerts } from "../support/programs/certs.ts";
import { settles, until } from "../support/wait.ts";

const HANDLER = new URL("./echo_handler.ts", import.meta.url);
const onLinux = Deno.build.os === "linux";

/** What a server passed to `onError`. */
type Complaint = readonly [error: unknown, phase: string, lost: number | undefined];

/** Starts two workers, and collects what they complain of. */
async function twoWorkers(
  options: ServeWorkersOptions = {},
): Promise<{ readonly server: WorkersServer; readonly complaints: Complaint[] }> {
  const complaints: Complaint[] = [];
  const server = await serveWorkers(HANDLER, {
    workers: 2,
    onError: (error, { phase, lostConnections }) =>
      complaints.push([error, phase, lostConnections]),
    ...options,
  });
  return { server, complaints };
}

/** Connects until each of two workers has so many connections. Returns them by worker. */
async function spread(
  server: WorkersServer,
  stack: AsyncDisposableStack,
  count: number,
): Promise<Map<string, Connection[]>> {
  const byWorker = new Map<string, Connection[]>([["1", []], ["2", []]]);
  await until("both workers have connections", async () => {
    // One that waits at the listener of a worker that has just died is reset, dialled or not.
    const conn = await connect({ ...server.addr, ...lines }).catch(() => null);
    if (conn === null) return false;
    stack.use(conn);
    const worker = (await ask(conn, "who").catch(() => null))?.slice(0, 1);
    const list = worker === undefined ? undefined : byWorker.get(worker);
    if (list !== undefined && list.length < count) list.push(conn);
    else conn.abort();
    return [...byWorker.values()].every(({ length }) => length === count);
  });
  await until("no other is left", () => server.stats().connectionsNow === 2 * count);
  return byWorker;
}

/** Waits for the end of a connection: the system of a thread that died ends it, in order or not. */
async function endOf(conn: Connection): Promise<Uint8Array | null> {
  return await conn.receive().catch(() => null);
}

Deno.test({
  name: "serveWorkers() serves one port by several threads, as one server with one count",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const states: string[] = [];
    const { server } = await twoWorkers({
      input: { greeting: "hi" },
      onStateChange: (state) => states.push(state),
    });
    stack.use(server);
    await server.ready;
    const conns = [...(await spread(server, stack, 2)).values()].flat();
    assertEquals(
      await ask(conns[0]!, "who").then((answer) => answer?.slice(2)),
      '{"greeting":"hi"}',
    );
    // Workers answer a moment after they were asked.
    await until("all is counted", () => {
      const { connections, overall } = server.stats();
      return connections.length === conns.length &&
        overall.messagesOut === overall.connectionsOpened + 1;
    });
    const stats = server.stats();
    const { messagesIn, connectionsOpened } = stats.overall;
    assertEquals(messagesIn, connectionsOpened + 1);
    assertEquals(stats.connectionsNow, conns.length);
    assert(stats.connectionsPeak >= conns.length && stats.connectionsPeak <= conns.length + 2);
    assertEquals(stats.connections.length, conns.length);
    assertEquals(stats.requests.count, connectionsOpened + 1);
    assertEquals(stats.today.counters, stats.overall);
    await using page = serveStats({ workers: server });
    await page.ready;
    const response = await fetch(`${page.url}metrics`);
    assert((await response.text()).includes("parley_connections_opened"), "a page of all workers");
    await server.shutdown();
    assertEquals(await conns[0]!.receive(), null);
    assertEquals(server.stats().overall.connectionsClosed, connectionsOpened);
    assertEquals(states, ["listening", "draining", "stopped"]);
    await server.finished;
  },
});

Deno.test({
  name: "WorkersServer loses only the connections of a worker that dies, and starts it again",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { server, complaints } = await twoWorkers();
    stack.use(server);
    for (
      const [deed, type, message] of [
        ["die", RangeError, "an error that no code handles"],
        ["reject", RangeError, "a rejection that no code handles"],
        ["exit", ParleyError, "The thread ended by itself, with code 7"],
      ] as const
    ) {
      const byWorker = await spread(server, stack, 2);
      const before = server.stats().overall;
      const [victims, others] = [byWorker.get("2")!, byWorker.get("1")!];
      await victims[0]!.send(deed);
      for (const conn of victims) assertEquals(await settles("the end", endOf(conn)), null);
      for (const conn of others) assertEquals(await ask(conn, "still here"), "still here");
      await until("the report", () => complaints.length === 1);
      const [error, phase, lost] = complaints.pop()!;
      assert(error instanceof type, `${error}`);
      assertEquals([error.message, phase], [message, "worker"]);
      const { overall, connectionsNow } = server.stats();
      assertEquals([lost, overall.connectionsLost], [
        victims.length,
        before.connectionsLost + victims.length,
      ]);
      assert(overall.messagesIn >= before.messagesIn, "counts outlive the worker");
      assertEquals(connectionsNow, overall.connectionsOpened - overall.connectionsClosed);
      for (const conn of others) conn.abort();
      await until("all have left", () => server.stats().connectionsNow === 0);
    }
    await spread(server, stack, 1);
  },
});

Deno.test({
  name: "serveWorkers() reports a handler's error with its phase, and ends its connection only",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { server, complaints } = await twoWorkers();
    stack.use(server);
    const conns = [...(await spread(server, stack, 1)).values()].flat();
    await conns[0]!.send("throw");
    assertEquals(await conns[0]!.receive(), null);
    for (const conn of conns.slice(1)) assertEquals(await ask(conn, "on"), "on");
    await until("the report", () => complaints.length === 1);
    const [error, phase] = complaints[0]!;
    assert(error instanceof RangeError && error.stack?.includes("echo_handler.ts"), `${error}`);
    assertEquals([error.message, phase], ["a handler's own error", "handler"]);
    assertEquals(server.stats().overall.handlerErrors, 1);
    assertEquals(server.stats().recentErrors[0]?.phase, "handler");
  },
});

Deno.test({
  name: "serveWorkers() counts maxConnections over all workers, however they are spread",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { server, complaints } = await twoWorkers({ maxConnections: 12 });
    stack.use(server);
    const conns: Connection[] = [];
    for (let i = 0; i < 12; i++) {
      conns.push(stack.use(await connect({ ...server.addr, ...lines })));
      assert(await ask(conns[i]!, "who") !== null, "there was room");
    }
    const refused = stack.use(await connect({ ...server.addr, ...lines }));
    assertEquals(await settles("the refusal", endOf(refused)), null);
    await until("the report", () => complaints.length === 1);
    assertEquals((complaints[0]![0] as ParleyError).code, "ERR_TOO_MANY_CONNECTIONS");
    assertEquals(server.stats().refusedBy.too_many_connections, 1);
    // A worker that dies frees its places.
    await conns[0]!.send("exit");
    await settles("its end", endOf(conns[0]!));
    await until("there is room again", async () => {
      await using conn = await connect({ ...server.addr, ...lines });
      return await ask(conn, "who").catch(() => null) !== null;
    });
  },
});

Deno.test({
  name: "WorkersServer.shutdown() counts what it cut over all workers",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { server } = await twoWorkers();
    const byWorker = await spread(server, stack, 1);
    const conns = [...byWorker.values()].flat();
    for (const conn of conns) await conn.send("wait");
    await until(
      "they wait",
      () => server.stats().connections.every(({ heldBytes }) => heldBytes === 0),
    );
    const error = await assertRejects(() => server.shutdown({ timeoutMs: 100 }), TimeoutError);
    assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", conns.length]);
    assertEquals(server.state, "stopped");
    await settles("the end", server.finished);
    assertEquals(server.stats().connectionsNow, 0);
  },
});

Deno.test({
  name: "serveWorkers() drains when its signal aborts, and frees the port",
  ignore: !onLinux,
  async fn() {
    const controller = new AbortController();
    const { server } = await twoWorkers({ signal: controller.signal });
    const { addr } = server;
    await using conn = await connect({ ...addr, ...lines });
    await ask(conn, "who");
    controller.abort();
    assertEquals(await conn.receive(), null);
    await settles("the end", server.finished);
    await using next = serve({ port: (addr as { port: number }).port }, () => {});
    await next.ready;
    const late = new AbortController();
    late.abort(new Error("too late"));
    await assertRejects(() => twoWorkers({ signal: late.signal }), Error, "too late");
  },
});

Deno.test({
  name: "serveWorkers() watches certificate files once, and all workers follow them",
  ignore: !onLinux,
  async fn() {
    await using folder = new TempDir();
    await using stack = new AsyncDisposableStack();
    const { ca } = await testCerts();
    const files = { certFile: `${folder.path}/cert.pem`, keyFile: `${folder.path}/key.pem` };
    const renew = async () =>
      await writeIdentity({
        ...await createCertificate({ ca, hosts: ["127.0.0.1"] }),
        ...files,
        replace: true,
      });
    await renew();
    const client = { caCerts: [ca.cert] };
    using tls = await loadTls({ ...files, watch: true, watchIntervalMs: 20 });
    const { server, complaints } = await twoWorkers({ tls });
    stack.use(server);
    assert(server.stats().certificate !== undefined);
    const serials = async () => {
      const seen = new Map<string, string>();
      while (seen.size < 2) {
        await using conn = await connect({ ...server.addr, ...lines, tls: client });
        seen.set((await ask(conn, "who"))!.slice(0, 1), conn.tls!.peerCertificate!.serialNumber);
      }
      return new Set(seen.values());
    };
    const first = await serials();
    assertEquals(first.size, 1);
    await renew();
    await until("both workers show the new one", async () => {
      const now = await serials();
      return now.size === 1 && [...now][0] !== [...first][0];
    });
    // A worker that is started later has the new one too.
    const conn = stack.use(await connect({ ...server.addr, ...lines, tls: client }));
    await conn.send("exit");
    await settles("its end", endOf(conn));
    const now = await serials();
    assert(now.size === 1 && [...now][0] !== [...first][0]);
    assertEquals(complaints.map(([, phase]) => phase), ["worker"]);
  },
});

Deno.test({
  name: "serveWorkers() asks for client certificates in every worker",
  ignore: !onLinux,
  async fn() {
    await using stack = new AsyncDisposableStack();
    const { ca, server: own, client } = await testCerts();
    const { server, complaints } = await twoWorkers({ tls: { ...own, clientCa: ca.cert } });
    stack.use(server);
    const tls = { caCerts: [ca.cert], ...client };
    const seen = new Set<string>();
    await until("both workers answer", async () => {
      await using conn = await connect({ ...server.addr, ...lines, tls });
      seen.add((await ask(conn, "who"))!.slice(0, 1));
      return seen.size === 2;
    });
    for (let i = 0; i < 4; i++) {
      const refused = connect({ ...server.addr, ...lines, tls: { caCerts: [ca.cert] } });
      // A client of TLS 1.3 may have finished before it is refused.
      await assertRejects(async () => {
        await using conn = await refused;
        if (await ask(conn, "who") === null) throw new Error("refused");
      });
    }
    await until("all are reported", () => complaints.length === 4);
    assertEquals(new Set(complaints.map(([, phase]) => phase)), new Set(["handshake"]));
    assertEquals(server.stats().overall.handshakeFailures, 4);
  },
});

Deno.test("serveWorkers() rejects when a worker cannot start, and leaves nothing behind", async () => {
  const module = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  const one = { workers: 1 };
  await assertRejects(
    () => serveWorkers(new URL("./no_such_module.ts", import.meta.url), one),
    TypeError,
    "no_such_module.ts",
  );
  await assertRejects(
    () => serveWorkers(module("export const handler = () => {};"), one),
    TypeError,
    "must export its handler as default, got undefined",
  );
  await assertRejects(
    () =>
      serveWorkers(module("export default () => {}; export const options = { fraiming: 1 };"), one),
    TypeError,
    'there is no option "fraiming": did you mean "framing"?',
  );
  await assertRejects(
    () => serveWorkers(module("throw new RangeError('not today')"), one),
    TypeError,
    "not today",
  );
  await assertRejects(
    () => serveWorkers(HANDLER, { ...one, input: () => 1 }),
    TypeError,
    '"input" must be plain data',
  );
  await using taken = serve({ port: 0 }, () => {});
  await taken.ready;
  const { port } = taken.addr as { port: number };
  const error = await assertRejects(() => serveWorkers(HANDLER, { ...one, port }), AddressError);
  assertEquals(error.code, "ERR_ADDRESS_IN_USE");
});

Deno.test("serveWorkers() rejects at the signal while a module is never loaded", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const code = `await Deno.connect({ port: ${listener.addr.port} }); ` +
    "await new Promise(() => setInterval(() => {}, 1000)); export default () => {};";
  const controller = new AbortController();
  const { signal } = controller;
  const module = `data:text/javascript,${encodeURIComponent(code)}`;
  const started = serveWorkers(module, { workers: 1, signal });
  const refused = assertRejects(() => started, RangeError, "not any more");
  using _loading = await listener.accept();
  controller.abort(new RangeError("not any more"));
  await refused;
});

Deno.test({
  name: "serveWorkers() shares its port with no other server, unless both say reusePort",
  ignore: !onLinux,
  async fn() {
    const { server } = await twoWorkers({ reusePort: true });
    await using _ = server;
    const { port } = server.addr as { port: number };
    const error = await assertRejects(() => twoWorkers({ port }), AddressError);
    assertEquals(error.code, "ERR_ADDRESS_IN_USE");
    const { server: other } = await twoWorkers({ port, reusePort: true });
    await other.shutdown();
  },
});
