// What a server knows of its connections, live and ended, and what it counts.
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ServeOptions } from "@parley/parley";
import { statsOfDay } from "../../stats/mod.ts";
import { ask, codeOf, started } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

Deno.test("Server.connections lists live connections by id", async () => {
  await using test = await started();
  const { server } = test;
  assertEquals(server.connections.size, 0);
  await using first = await test.connect();
  await using second = await test.connect();
  await Promise.all([ask(first, "one"), ask(second, "one")]);
  const [a, b] = [...server.connections.values()];
  assert(a !== undefined && b !== undefined);
  assertNotEquals(a.id, b.id);
  assertEquals(server.connections.get(a.id), a);
  const ports = [...server.connections.values()].map(({ remoteAddr }) => remoteAddr);
  assertEquals(new Set(ports), new Set([first.localAddr, second.localAddr]));
});

Deno.test("Server.connections lets an operator end one connection of many", async () => {
  await using test = await started();
  const { server } = test;
  await using good = await test.connect();
  const bad = await test.connect();
  await Promise.all([ask(good, "one"), ask(bad, "one")]);
  const found = [...server.connections.values()].find(({ remoteAddr }) =>
    remoteAddr.transport === "tcp" && bad.localAddr.transport === "tcp" &&
    remoteAddr.port === bad.localAddr.port
  );
  found?.abort(new Error("kicked"));
  const end = await bad.receive().catch(codeOf);
  assert(end === null || end === "ERR_RESET");
  await bad.close().catch(() => {});
  assertEquals(await ask(good, "still here"), "still here");
  assertEquals([server.connections.size, test.codes], [1, ["handler Error"]]);
});

Deno.test("Server.closedConnections() and connectionStats() tell of connections that have ended", async () => {
  await using test = await started({ maxMessageBytes: 10 });
  const { server } = test;
  assertEquals(server.closedConnections(), []);
  const conn = await test.connect();
  await ask(conn, "one");
  const [id] = server.connections.keys();
  assert(id !== undefined);
  assertEquals(server.connectionStats(id)?.state, "open");
  await conn.close();
  await until("no connection is open", () => server.connections.size === 0);
  const [stats] = server.closedConnections();
  assert(stats !== undefined && Object.isFrozen(stats));
  assertEquals(server.connectionStats(id), stats);
  assertEquals(
    { ...stats, openedAtMs: 0, closedAtMs: 0, onlineMs: 0, idleMs: 0 },
    {
      id,
      state: "closed",
      localAddr: conn.remoteAddr,
      remoteAddr: conn.localAddr,
      tls: null,
      openedAtMs: 0,
      closedAtMs: 0,
      onlineMs: 0,
      idleMs: 0,
      bytesIn: 4,
      bytesOut: 4,
      messagesIn: 1,
      messagesOut: 1,
      heldBytes: 0,
      queuedBytes: 0,
      errorCode: null,
    },
  );
  const bad = await test.connect({ maxMessageBytes: 100 });
  await bad.send("more than ten bytes");
  assertEquals(await bad.receive(), null);
  await bad.close();
  await until("the second connection ends", () => server.closedConnections().length === 2);
  const codes = server.closedConnections().map(({ errorCode }) => errorCode);
  assertEquals(codes, ["ERR_FRAME_TOO_LARGE", null], "the newest comes first");
  assertEquals(server.connectionStats("never was"), undefined);
});

Deno.test("Server.stats() counts what its clients count, overall and for the day", async () => {
  await using test = await started();
  const { server } = test;
  const sums = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
  await Promise.all(Array.from({ length: 5 }, async (_, client) => {
    const conn = await test.connect();
    for (let i = 0; i <= client * 10; i++) assertEquals(await ask(conn, `m${i}`), `m${i}`);
    await conn.close();
    const stats = conn.stats();
    sums.bytesIn += stats.bytesOut;
    sums.bytesOut += stats.bytesIn;
    sums.messagesIn += stats.messagesOut;
    sums.messagesOut += stats.messagesIn;
  }));
  await until("no connection is open", () => server.connections.size === 0);
  const stats = server.stats();
  const { bytesIn, bytesOut, messagesIn, messagesOut, connectionsOpened, connectionsClosed } =
    stats.overall;
  assertEquals({ bytesIn, bytesOut, messagesIn, messagesOut }, sums);
  assertEquals([messagesIn, connectionsOpened, connectionsClosed], [105, 5, 5]);
  // A test that runs over midnight sees its work on two days.
  const days = stats.days.map(({ day }) => statsOfDay(stats, day).messagesIn);
  assertEquals(days.reduce((sum, count) => sum + count, 0), 105);
  assertEquals(stats.today.day, stats.days.at(-1)?.day);
});

Deno.test("Server.stats() is a frozen snapshot that survives JSON", async () => {
  await using test = await started();
  await using conn = await test.connect();
  await ask(conn, "one");
  const stats = test.server.stats();
  assert(
    Object.isFrozen(stats) && Object.isFrozen(stats.overall) &&
      Object.isFrozen(stats.connections[0]),
  );
  assertEquals(JSON.parse(JSON.stringify(stats)), stats);
  assertEquals([stats.kind, stats.state, stats.connectionsNow, stats.pendingNow], [
    "server",
    "listening",
    1,
    0,
  ]);
  assertEquals(stats.connections[0]!.messagesIn, 1);
  await ask(conn, "two");
  assertEquals(stats.connections[0]!.messagesIn, 1);
  assertEquals(test.server.stats().connections[0]!.messagesIn, 2);
});

Deno.test("Server.stats() counts messages that the handler read after the connection had ended", async () => {
  const gone = Promise.withResolvers<void>();
  const read = Promise.withResolvers<void>();
  await using test = await started({ onDisconnect: () => gone.resolve() }, async (conn) => {
    await conn.receive();
    await gone.promise;
    for await (const _ of conn);
    read.resolve();
  });
  const conn = await test.connect();
  for (const word of ["one", "two", "three"]) void conn.send(word);
  await conn.flush();
  await until(
    "the server has read ahead",
    () => (test.server.stats().connections[0]?.heldBytes ?? 0) > 0,
  );
  // The server's side ends it, but hands out what it has.
  for (const live of test.server.connections.values()) live.closeNow();
  await read.promise;
  await until("three messages are read", () => test.server.stats().overall.messagesIn === 3);
  assertEquals(test.server.closedConnections()[0]!.messagesIn, 3);
  await conn.close().catch(() => {});
});

Deno.test("Server.stats() stands still once the server has stopped", async () => {
  await using test = await started();
  await using conn = await test.connect();
  await ask(conn, "one");
  test.server.abort();
  await test.server.finished;
  const { onlineMs, startedAtMs, state } = test.server.stats();
  assertEquals([state, typeof startedAtMs], ["stopped", "number"]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(test.server.stats().onlineMs, onlineMs);
});

Deno.test("closedLog says how many connections that have ended are kept, and for how long", async () => {
  const kept = async (closedLog: ServeOptions["closedLog"]) => {
    await using test = await started({ closedLog });
    for (let count = 1; count <= 4; count++) {
      const conn = await test.connect();
      assertEquals(await ask(conn, "one"), "one");
      await conn.close();
      await until("it is counted", () => test.server.stats().overall.connectionsClosed === count);
    }
    return test.server.closedConnections().length;
  };
  assertEquals(await kept(undefined), 4);
  assertEquals(await kept({ maxConnections: 2 }), 2);
  assertEquals(await kept({ maxConnections: 0 }), 0);
  await using test = await started({ closedLog: { maxAgeMs: 30 } });
  await (await test.connect()).close();
  await until(
    "it is forgotten",
    () =>
      test.server.stats().overall.connectionsClosed === 1 &&
      test.server.closedConnections().length === 0,
  );
});
