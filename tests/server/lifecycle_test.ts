// The life of a server: from serve() to finished, and every way to end it.
import {
  AddressError,
  ClosedError,
  connect,
  serve,
  type ServeOptions,
  type Server,
  type ServerState,
} from "@parley/parley";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { text } from "../support/bytes.ts";
import { isSettled, receiveAll } from "../support/simulation/memory_connections.ts";
import { ask, codeOf, echo, errorOf, lines, started } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";
import { watchedSignal } from "../support/watched_signal.ts";

Deno.test("Server goes from created to listening to draining to stopped, and tells of each", async () => {
  const states: ServerState[] = [];
  const addresses: unknown[] = [];
  const server = serve({
    ...lines,
    onStateChange: (state) => states.push(state),
    onListen: (addr) => addresses.push(addr),
  }, echo);
  assertEquals(server.state, "created");
  assertEquals(server.stats().state, "created");
  assertEquals(server.stats().address, null);
  const error = assertThrows(() => server.addr, ClosedError);
  assertEquals([error.code, error.message], [
    "ERR_CLOSED",
    "Cannot tell the address: the server does not listen yet: await `ready` first",
  ]);
  await server.ready;
  assertEquals(server.state, "listening");
  const { addr } = server;
  assert(addr.transport === "tcp" && addr.hostname === "127.0.0.1" && addr.port > 0);
  assertEquals(addresses, [addr]);
  const conn = await connect({ ...lines, ...addr });
  assertEquals(await ask(conn, "one"), "one");
  const shutdown = server.shutdown();
  assertEquals(server.state, "draining");
  assert(!(await isSettled(server.finished)));
  assertEquals(await conn.receive(), null);
  await conn.close();
  await shutdown;
  await server.finished;
  assertEquals(server.state, "stopped");
  assertEquals(server.addr, addr, "the address stays known");
  assertEquals(states, ["listening", "draining", "stopped"]);
});

Deno.test("Server calls no hook before serve() has returned", async () => {
  const order: string[] = [];
  const server = serve({
    ...lines,
    signal: AbortSignal.abort(),
    onStateChange: (state) => order.push(state),
    onError: () => order.push("error"),
  }, echo);
  order.push("returned");
  await server.finished;
  assertEquals(order, ["returned", "stopped"]);
});

Deno.test("Server.ready and Server.finished reject when the port is taken, and nothing else reports it", async () => {
  await using first = await started();
  assert(first.server.addr.transport === "tcp");
  const { port } = first.server.addr;
  const told: unknown[] = [];
  const states: ServerState[] = [];
  const server = serve({
    port,
    onStateChange: (state) => states.push(state),
    onError: (error, { phase }) => told.push([phase, codeOf(error)]),
  }, echo);
  const error = await assertRejects(() => server.ready, AddressError);
  assertEquals(error.code, "ERR_ADDRESS_IN_USE");
  assert(error.message.includes(`127.0.0.1:${port}`), error.message);
  assertStrictEquals(await errorOf(server.finished), error);
  assertEquals(told, [], "the caller has asked");
  assertEquals(states, ["stopped"]);
  assertEquals(server.state, "stopped");
  await server.shutdown();
  server.abort();
});

Deno.test("Server that cannot listen ends no process when no call waits for it", async () => {
  await using first = await started();
  assert(first.server.addr.transport === "tcp");
  const failed = Promise.withResolvers<void>();
  serve({ port: first.server.addr.port, onError: () => failed.resolve() }, echo);
  await failed.promise;
});

Deno.test("Server that cannot listen reports it once, with the address and in one line, where its caller asks for no promise", async () => {
  await using first = await started();
  assert(first.server.addr.transport === "tcp");
  const { port } = first.server.addr;
  const lines: unknown[][] = [];
  const told = Promise.withResolvers<void>();
  const error = (...line: unknown[]) => {
    lines.push(line);
    told.resolve();
  };
  const server = serve({ port, logger: { debug() {}, info() {}, warn() {}, error } }, echo);
  await settles("the report", told.promise);
  assertEquals(lines, [[
    `Server error in phase "listen": AddressError: Cannot listen on "127.0.0.1:${port}": the address is in use`,
    { phase: "listen" },
  ]]);
  assertEquals(server.state, "stopped");
});

Deno.test("Server.finished of one that cannot listen shows where it was made, and no file of ours", async () => {
  await using first = await started();
  assert(first.server.addr.transport === "tcp");
  const { port } = first.server.addr;
  const { stack = "", cause } = await errorOf(serve({ port }, echo).finished);
  assert(stack.includes(`127.0.0.1:${port}`) && stack.includes("lifecycle_test.ts"), stack);
  const lines = `${stack}\n${(cause as Error).stack}`.split("\n");
  assert(lines.length <= 6, lines.join("\n"));
});

Deno.test("Server.ready rejects with the reason of a signal that is already aborted, and nothing listens", async () => {
  const reason = new Error("not today");
  const told: unknown[] = [];
  const server = serve(
    { signal: AbortSignal.abort(reason), onError: (error) => told.push(error) },
    echo,
  );
  assertStrictEquals(await errorOf(server.ready), reason);
  await server.finished;
  assertEquals(server.state, "stopped");
  assertEquals(told, []);
});

Deno.test("Server.ready rejects with the signal's reason when it aborts before the server listens", async () => {
  const controller = new AbortController();
  const server = serve({ signal: controller.signal }, echo);
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertStrictEquals(await errorOf(server.ready), reason);
  await server.finished;
});

Deno.test("Server.abort() and shutdown() before it listens end it, and ready tells so", async () => {
  for (const end of ["abort", "shutdown"] as const) {
    const server = serve(lines, echo);
    const ended = server[end]();
    assertEquals(server.state, "stopped");
    const error = await assertRejects(() => server.ready, ClosedError);
    assertEquals(error.code, "ERR_CLOSED");
    await ended;
    await server.finished;
  }
});

Deno.test("Server drains when its signal aborts, and keeps no listener on the signal", async () => {
  const controller = new AbortController();
  const server = serve({ ...lines, signal: controller.signal }, echo);
  await server.ready;
  const conn = await connect({ ...lines, ...server.addr });
  assertEquals(await ask(conn, "one"), "one");
  controller.abort();
  assertEquals(server.state, "draining");
  assertEquals(await conn.receive(), null);
  await conn.close();
  await server.finished;

  // One that ended by itself does not react to its signal any more.
  const other = new AbortController();
  const told: unknown[] = [];
  const second = serve(
    { ...lines, signal: other.signal, onError: (error) => told.push(error) },
    echo,
  );
  await second.ready;
  await second.shutdown();
  other.abort();
  await second.finished;
  assertEquals(told, []);
});

Deno.test("Server leaves no listener on its caller's signal, however it ends", async () => {
  await using taken = await started();
  assert(taken.server.addr.transport === "tcp");
  const { port } = taken.server.addr;
  const ways: [string, ServeOptions, (server: Server) => void][] = [
    ["shutdown()", {}, (server) => void server.shutdown()],
    ["shutdown() after a delay", { drainDelayMs: 10 }, (server) => void server.shutdown()],
    ["close()", {}, (server) => server.abort()],
    ["a port in use", { port }, () => {}],
  ];
  for (const [way, options, end] of ways) {
    const watched = watchedSignal();
    const server = serve({ ...lines, ...options, signal: watched.signal }, echo);
    await server.ready.catch(() => {});
    assertEquals(watched.listeners, way === "a port in use" ? 0 : 1, way);
    end(server);
    await server.finished.catch(() => {});
    assertEquals(watched.listeners, 0, way);
  }
});

Deno.test("Server tells onError when the drain that its signal asked for has to cut", async () => {
  const controller = new AbortController();
  const stuck = Promise.withResolvers<void>();
  await using test = await started(
    { signal: controller.signal, drainTimeoutMs: 20 },
    () => stuck.promise,
  );
  const conn = await test.connect();
  await conn.send("one");
  while (test.server.connections.size === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  controller.abort();
  await test.server.finished;
  assertEquals(test.codes, ["drain ERR_DRAIN_TIMEOUT"]);
  stuck.resolve();
  conn.abort();
});

Deno.test("Server.abort() cuts every connection at once, and is idempotent", async () => {
  await using test = await started();
  const conns = await Promise.all([test.connect(), test.connect()]);
  for (const conn of conns) assertEquals(await ask(conn, "one"), "one");
  test.server.abort();
  test.server.abort();
  assertEquals(test.server.state, "stopped");
  await test.server.finished;
  assertEquals(test.server.connections.size, 0);
  await test.server.shutdown();
  for (const conn of conns) {
    const end = await conn.receive().catch(codeOf);
    assert(end === null || end === "ERR_RESET", `ended with ${end}`);
    await conn.close().catch(() => {});
  }
  await test.server.finished;
  assertEquals(test.codes, [], "what handlers say of a cut is no news");
});

Deno.test("Server.abort() in onStateChange, onListen and onConnect ends it", async () => {
  for (const hook of ["onStateChange", "onListen"] as const) {
    const server = serve({ ...lines, [hook]: () => server.abort() }, echo);
    await server.ready;
    await server.finished;
    assertEquals(server.state, "stopped");
  }
  const server = serve({ ...lines, onConnect: () => server.abort() }, echo);
  await server.ready;
  const conn = await connect({ ...lines, ...server.addr });
  await server.finished;
  assertEquals(await conn.receive().catch(() => null), null);
  await conn.close();
});

Deno.test("Server.shutdown() in onStateChange does not begin a second one", async () => {
  const states: ServerState[] = [];
  const server = serve({
    ...lines,
    onStateChange: (state) => {
      states.push(state);
      void server.shutdown();
    },
  }, echo);
  await server.ready;
  await server.finished;
  assertEquals(states, ["listening", "draining", "stopped"]);
});

Deno.test("Server disposed of by await using has drained", async () => {
  let answered = 0;
  let rest: Promise<string[]>;
  {
    await using server = serve(lines, async (conn) => {
      for await (const message of conn) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        await conn.send(message);
        answered++;
      }
    });
    await server.ready;
    const conn = await connect({ ...lines, ...server.addr });
    for (const word of ["one", "two", "three"]) await conn.send(word);
    await conn.flush();
    // All three have come in when the first is answered.
    assertEquals(text((await conn.receive())!), "one");
    rest = (async () => {
      const answers = await receiveAll(conn);
      await conn.close();
      return answers.map(text);
    })();
  }
  assertEquals(answered, 3);
  assertEquals(await rest, ["two", "three"]);
});

Deno.test("Server listens on an IPv6 address and on a name", async () => {
  for (const hostname of ["::1", "localhost"]) {
    await using test = await started({ hostname });
    await using conn = await test.connect();
    assertEquals(await ask(conn, "one"), "one");
  }
});

Deno.test("Server frees its port: the next one can have it", async () => {
  const first = serve(lines, echo);
  await first.ready;
  assert(first.addr.transport === "tcp");
  const { port } = first.addr;
  await first.shutdown();
  await using second = await started({ port });
  await using conn = await second.connect();
  assertEquals(await ask(conn, "one"), "one");
});
