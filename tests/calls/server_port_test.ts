// Calls over a server: every connection of it, drains, and servers without anything to answer by.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  connect,
  type Connection,
  ParleyError,
  serve,
  type ServeErrorContext,
} from "@parley/parley";
import { answer, call, type CallContext, caller, contract } from "@parley/parley/calls";
import { testCerts } from "../support/programs/certs.ts";
import { settles, until } from "../support/wait.ts";

const math = contract({
  add: call<{ a: number; b: number }, number>(),
  later: call<number, number>(),
}, { name: "math" });

const other = contract({ name: call<void, string>() });

Deno.test("answer() of a server answers every connection, and calls back each of them", async () => {
  const back: Promise<string>[] = [];
  await using server = serve({
    onConnect: (conn: Connection) => void back.push(caller(conn, other).name()),
  });
  const contexts: CallContext[] = [];
  const stop = answer(server, math, {
    add: ({ a, b }, context) => {
      contexts.push(context);
      return a + b;
    },
    later: (n) => n,
  });
  answer(server, other, { name: () => "the server" });
  await server.ready;
  const conns = await Promise.all(Array.from({ length: 3 }, () => connect(server.addr)));
  conns.forEach((conn, i) => answer(conn, other, { name: () => `client ${i}` }));
  for (const [i, conn] of conns.entries()) {
    assertEquals(await caller(conn, math).add({ a: i, b: 1 }), i + 1);
    assertEquals(await caller(conn, other).name(), "the server");
  }
  assertEquals((await Promise.all(back)).sort(), ["client 0", "client 1", "client 2"]);
  assert(contexts.every(({ via }) => [...server.connections.values()].includes(via as Connection)));
  stop();
  const gone = await assertRejects(() => caller(conns[0]!, math).add({ a: 1, b: 1 }), ParleyError);
  assertEquals(gone.code, "ERR_UNKNOWN_CALL");
  await Promise.all(conns.map((conn) => conn.close()));
});

Deno.test("answer() is refused on a server with a handler, and twice for one name", async () => {
  await using server = serve(() => {});
  const handlers = { add: () => 1, later: () => 2 };
  assertThrows(() => answer(server, math, handlers), TypeError, "the server has a handler");
  await using free = serve({});
  answer(free, math, handlers);
  assertThrows(() => answer(free, math, handlers), TypeError, "answered here already");
  await Promise.all([server.ready, free.ready]);
  const own = await connect(free.addr);
  await until("it is there", () => free.connections.size === 1);
  const [conn] = free.connections.values();
  answer(conn!, math, { add: () => 3, later: () => 4 });
  assertEquals(await caller(own, math).later(1), 4, "the connection goes before its server");
  await own.close();
});

Deno.test("serve() without a handler ends connections, and reports it once, until answer() is called", async () => {
  const errors: [unknown, ServeErrorContext["phase"]][] = [];
  await using server = serve({
    onError: (error: unknown, { phase }: ServeErrorContext) => void errors.push([error, phase]),
  });
  await server.ready;
  for (let i = 0; i < 3; i++) {
    const conn = await connect(server.addr);
    assertEquals(await conn.receive(), null);
    await conn.close();
  }
  await until("it is reported", () => errors.length > 0);
  assertEquals(errors.map(([, phase]) => phase), ["handler"]);
  const [[error]] = errors as [[unknown, string]];
  assert(error instanceof TypeError && error.message.includes("or call answer()"), String(error));
  answer(server, math, { add: ({ a, b }) => a + b, later: (n) => n });
  const conn = await connect(server.addr);
  assertEquals(await caller(conn, math).add({ a: 1, b: 1 }), 2);
  await conn.close();
});

for (const isTls of [false, true]) {
  Deno.test(`Server.shutdown() with 64 calls under way on each connection loses none (${isTls ? "tls" : "tcp"})`, async () => {
    const { ca, server: identity } = await testCerts();
    const server = serve(isTls ? { tls: identity } : {});
    let running = 0;
    const released = Promise.withResolvers<void>();
    answer(server, math, {
      add: ({ a, b }) => a + b,
      later: async (n, { signal }) => {
        running++;
        await released.promise;
        assertEquals(signal.aborted, false);
        return n;
      },
    });
    await server.ready;
    const tls = isTls ? { hostname: "localhost", tls: { caCerts: [ca.cert] } } : {};
    const conns = await Promise.all(
      Array.from({ length: 4 }, () => connect({ ...server.addr, ...tls } as never)),
    );
    const calls = conns.map((conn) =>
      Promise.all(Array.from({ length: 64 }, (_, i) => caller(conn, math).later(i)))
    );
    await until("they run", () => running === 256);
    const drained = server.shutdown();
    for (const conn of conns) {
      await until("the caller learns it", async () => {
        const call = caller(conn, math).add({ a: 1, b: 1 }, { timeoutMs: 50 });
        const error = await call.catch((error) => error);
        return error instanceof ClosedError && error.code === "ERR_GOING_AWAY";
      });
    }
    released.resolve();
    const expected = Array.from({ length: 64 }, (_, i) => i);
    assertEquals(await settles("calls", Promise.all(calls)), Array(4).fill(expected));
    await settles("the drain", drained);
    for (const conn of conns) assertEquals((await conn.closed).error, null);
  });
}

Deno.test("Server.shutdown() answers or refuses each call of callers that never pause", async () => {
  for (let round = 0; round < 5; round++) {
    const server = serve({});
    let done = 0;
    answer(server, math, { add: ({ a, b }) => (done++, a + b), later: (n) => n });
    await server.ready;
    const conn = await connect(server.addr);
    const remote = caller(conn, math);
    const codes = new Map<string, number>();
    const load = Array.from({ length: 16 }, async () => {
      for (;;) {
        const code = await remote.add({ a: 1, b: 1 }).then(() => "done", (error) => error.code);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (code !== "done") return;
      }
    });
    await until("calls are made", () => done > 200);
    await server.shutdown();
    await settles("the load ends", Promise.all(load));
    // Each call is either done and answered, or was never begun.
    assertEquals([...codes.keys()].sort(), ["ERR_GOING_AWAY", "done"]);
    assertEquals(codes.get("done"), done);
    await conn.closed;
  }
});

Deno.test("Server.shutdown() that runs out of time aborts handlers, and callers learn it", async () => {
  const server = serve({});
  let aborted = 0;
  answer(server, math, {
    add: ({ a, b }) => a + b,
    later: (_, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          aborted++;
          reject(signal.reason);
        })
      ),
  });
  await server.ready;
  const conn = await connect(server.addr);
  const lost = assertRejects(() => caller(conn, math).later(1), ClosedError);
  await until("it runs", () => server.connections.size === 1);
  const late = await assertRejects(() => server.shutdown({ timeoutMs: 300 }), ParleyError);
  assertEquals(late.code, "ERR_DRAIN_TIMEOUT");
  assertEquals((await lost).code, "ERR_RESET");
  await until("the handler learns it", () => aborted === 1);
});

Deno.test("a server reports a client that breaks the rules of calls as that client's fault", async () => {
  const errors: [unknown, string][] = [];
  await using server = serve({
    onError: (error: unknown, { phase }: ServeErrorContext) => void errors.push([error, phase]),
  });
  answer(server, math, { add: ({ a, b }) => a + b, later: (n) => n });
  await server.ready;
  const good = await connect(server.addr);
  const bad = await connect(server.addr);
  await bad.send("GET / HTTP/1.1");
  await settles("it is ended", bad.inputEnded);
  await bad.close().catch(() => {});
  await until("it is reported", () => errors.length === 1);
  assertEquals((errors[0]![0] as ParleyError).code, "ERR_CALL_FRAME");
  assertEquals(errors[0]![1], "connection");
  assertEquals(await caller(good, math).add({ a: 1, b: 2 }), 3);
  await good.close();
});

Deno.test("a server does not count a connection as idle while a call is under way", async () => {
  await using server = serve({ idleTimeoutMs: 60, onError: () => {} });
  answer(server, math, {
    add: ({ a, b }) => a + b,
    later: (n) => new Promise((resolve) => setTimeout(() => resolve(n), 400)),
  });
  await server.ready;
  const conn = await connect(server.addr);
  assertEquals(await caller(conn, math).later(7), 7);
  assertEquals((await settles("idle", conn.closed)).error, null);
});

Deno.test("stats() of a server takes the time of each call to its own reply", async () => {
  const calls = contract({ slow: call<void, void>(), fast: call<void, void>() });
  await using server = serve();
  const { promise, resolve } = Promise.withResolvers<void>();
  answer(server, calls, { slow: () => promise, fast: () => {} });
  await server.ready;
  await using conn = await connect(server.addr);
  const remote = caller(conn, calls);
  const slow = remote.slow();
  for (let i = 0; i < 3; i++) await remote.fast();
  await until("three are counted", () => server.stats().requests.count >= 3);
  assertEquals(server.stats().requests.count, 3, "the slow one is under way");
  resolve();
  await slow;
  await until("the slow one, too", () => server.stats().requests.count === 4);
});
