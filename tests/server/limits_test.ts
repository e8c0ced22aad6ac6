// Limits of a server: how many, how fast, how long; each at, below and above.
import { assert, assertEquals } from "@std/assert";
import { connect, type Connection, lengthPrefixed } from "@parley/parley";
import { text, utf8 } from "../support/bytes.ts";
import { isSettled, receiveAll } from "../support/simulation/memory_connections.ts";
import { writeAll } from "../support/peers/raw_peer.ts";
import { ask, codeOf, lines, started } from "../support/peers/servers.ts";
import { staysBelow, until } from "../support/wait.ts";

Deno.test("maxConnections: as many are served, one more is refused, and a place that is left can be had", async () => {
  await using test = await started({ maxConnections: 3 });
  const conns = await Promise.all([1, 2, 3].map(() => test.connect()));
  for (const conn of conns) assertEquals(await ask(conn, "one"), "one");
  const refused = await test.connect();
  const end = await refused.receive().catch(codeOf);
  assert(end === null || end === "ERR_RESET");
  await refused.close().catch(() => {});
  const { overall, refusedBy } = test.server.stats();
  assertEquals([
    overall.connectionsRefused,
    refusedBy.too_many_connections,
    overall.connectionsOpened,
  ], [
    1,
    1,
    3,
  ]);
  assertEquals(test.codes, ["refused ERR_TOO_MANY_CONNECTIONS"]);
  assert(
    /server is full.*"maxConnections" allows, 3: raise it/.test(String(test.complaints[0]!.error)),
  );
  await conns[0]!.close();
  await until("two connections are open", () => test.server.connections.size === 2);
  await using next = await test.connect();
  assertEquals(await ask(next, "one"), "one");
  await Promise.all(conns.map((conn) => conn.close()));
});

Deno.test("maxConnectionsPerSource holds for loopback as well", async () => {
  await using test = await started({ maxConnectionsPerSource: 2 });
  const conns = await Promise.all([test.connect(), test.connect()]);
  for (const conn of conns) assertEquals(await ask(conn, "one"), "one");
  const refused = await test.connect();
  await refused.receive().catch(() => {});
  await refused.close().catch(() => {});
  assertEquals(test.server.stats().refusedBy.too_many_from_source, 1);
  await Promise.all(conns.map((conn) => conn.close()));
});

Deno.test("connectionsPerSecondPerSource refuses who connects too often", async () => {
  await using test = await started({
    connectionsPerSecondPerSource: 0.001,
    connectionBurstPerSource: 2,
  });
  const ends: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    const conn = await test.connect();
    ends.push(await ask(conn, "one").catch(() => "refused"));
    await conn.close().catch(() => {});
  }
  assertEquals(ends.map((end) => end === "one"), [true, true, false]);
  assertEquals(test.server.stats().refusedBy.rate_limited, 1);
});

Deno.test("idleTimeoutMs ends a connection on which nothing moves, and no other", async () => {
  await using test = await started({ idleTimeoutMs: 250 });
  const idle = await test.connect();
  const busy = await test.connect();
  await ask(idle, "one");
  const waiting = idle.receive();
  while (!(await isSettled(waiting))) {
    assertEquals(await ask(busy, "tick"), "tick");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(await waiting, null);
  assertEquals(await ask(busy, "still here"), "still here");
  await idle.close();
  await until("one connection is open", () => test.server.connections.size === 1);
  assertEquals(test.codes, ["handler ERR_IDLE_TIMEOUT"]);
  assertEquals(test.server.stats().overall.idleTimeouts, 1);
  assertEquals(test.server.closedConnections()[0]!.errorCode, "ERR_IDLE_TIMEOUT");
  await busy.close();
});

Deno.test("messageTimeoutMs ends a connection whose message comes drop by drop", async () => {
  await using test = await started({ messageTimeoutMs: 150, idleTimeoutMs: 10_000 });
  assert(test.server.addr.transport === "tcp");
  const socket = await Deno.connect({ port: test.server.addr.port });
  let sent = 0;
  const dripping = (async () => {
    for (;; sent++) {
      await socket.write(utf8("x"));
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
  })().catch(() => {});
  assertEquals(await socket.read(new Uint8Array(1)).catch(() => null), null);
  socket.close();
  await dripping;
  assert(sent > 3, "the connection was never idle");
  assertEquals(test.codes, ["handler ERR_READ_TIMEOUT"]);
});

Deno.test("rateLimits.perConnection slows a flooder, and loses and reorders nothing", async () => {
  const count = 3000;
  const taken: number[] = [];
  await using test = await started(
    { rateLimits: { perConnection: { messagesPerSecond: 10_000, burstMessages: 100 } } },
    async (conn) => {
      for await (const message of conn) taken.push(Number(text(message)));
      await conn.send("done");
    },
  );
  const began = performance.now();
  await using conn = await test.connect();
  for (let i = 0; i < count; i++) await conn.send(`${i}`.padStart(99, " "));
  await conn.closeWrite();
  assertEquals((await receiveAll(conn)).length, 1);
  const tookMs = performance.now() - began;
  assertEquals(taken, Array.from({ length: count }, (_, i) => i));
  assert(tookMs >= (count - 100) / 10 - 1, `it took ${tookMs} ms`);
  assert(test.server.stats().overall.rateLimitPauses > 0);
});

Deno.test("rateLimits.perConnection leaves another connection alone, perSource does not", async () => {
  for (const scope of ["perConnection", "perSource"] as const) {
    await using test = await started({
      rateLimits: { [scope]: { bytesPerSecond: 20_000, burstBytes: 1000 } },
    });
    const flooder = await test.connect();
    const other = await test.connect();
    // The first one passes, being alone, and is paid for before the next.
    const sending = Promise.all([1, 2].map(() => flooder.send("x".repeat(30_000))));
    await until("the limit strikes", () => test.server.stats().overall.rateLimitPauses > 0);
    const waitedMs = async () => {
      const began = performance.now();
      await ask(other, "one");
      await ask(other, "two");
      return performance.now() - began;
    };
    if (scope === "perConnection") await staysBelow(50, waitedMs);
    else assert(await waitedMs() > 50);
    await sending;
    flooder.abort();
    await other.close();
  }
});

Deno.test("rateLimits lets an honest client be served beside peers of its address that flooded and left", async () => {
  for (const scope of ["perSource", "perServer"] as const) {
    await using test = await started({
      framing: lengthPrefixed(),
      rateLimits: { [scope]: { messagesPerSecond: 1000, burstMessages: 100 } },
      idleTimeoutMs: 2000,
    });
    assert(test.server.addr.transport === "tcp");
    const { port } = test.server.addr;
    for (let flooder = 0; flooder < 20; flooder++) {
      const socket = await Deno.connect({ port });
      await writeAll(socket, new Uint8Array(64_000));
      socket.close();
    }
    await using honest = await connect({ port });
    await staysBelow(2000, async () => {
      const began = performance.now();
      await honest.send("hello");
      assertEquals(text((await honest.receive())!), "hello");
      return performance.now() - began;
    });
    await until("all others are gone", () => test.server.connections.size === 1);
    const { rateLimitDrops, connectionsClosed } = test.server.stats().overall;
    assertEquals(connectionsClosed, 20);
    // Those that were answered before their peer's end was seen may have met a reset first.
    assert(rateLimitDrops > 0);
  }
});

Deno.test("rateLimits lets the connections of peers that left end, and tells what was dropped", async () => {
  await using test = await started({
    framing: lengthPrefixed(),
    rateLimits: { perConnection: { messagesPerSecond: 10 } },
    idleTimeoutMs: 500,
  }, async (conn) => {
    for await (const _ of conn);
  });
  assert(test.server.addr.transport === "tcp");
  const socket = await Deno.connect({ port: test.server.addr.port });
  await writeAll(socket, new Uint8Array(4 * 16_000));
  socket.close();
  await until("it is gone", () => test.server.closedConnections().length === 1);
  assertEquals(test.codes, ["handler ERR_RATE_LIMITED"]);
  assertEquals(test.server.stats().overall.rateLimitDrops, 1);
  assertEquals(test.server.closedConnections()[0]!.errorCode, "ERR_RATE_LIMITED");
});

Deno.test("rateLimits: a peer that we make wait is neither late with its message nor idle", async () => {
  await using test = await started({
    rateLimits: { perConnection: { bytesPerSecond: 20_000, burstBytes: 1000 } },
    // What is paid for a message before the next one takes 300 ms.
    messageTimeoutMs: 150,
    idleTimeoutMs: 150,
  });
  await using conn = await test.connect();
  const message = "x".repeat(6000);
  await conn.send(message);
  assertEquals([await ask(conn, message), text((await conn.receive())!)], [message, message]);
  assert(test.server.stats().overall.rateLimitPauses > 0);
  assertEquals(test.codes, []);
});

Deno.test("Server ends with ERR_SLOW_CONSUMER who takes nothing in writeTimeoutMs, and no other", async () => {
  const framing = lengthPrefixed();
  await using test = await started({ framing, writeTimeoutMs: 1500 }, async (conn) => {
    const chunk = new Uint8Array(2 ** 20);
    for await (const _ of conn) {
      for (let i = 0; i < 64; i++) await conn.send(chunk);
    }
  });
  assert(test.server.addr.transport === "tcp");
  const { port } = test.server.addr;
  using deaf = await Deno.connect({ port });
  await writeAll(deaf, new Uint8Array([0, 0, 0, 1, 7]));
  await using good = await connect({ port, framing });
  await good.send("go");
  for (let i = 0; i < 64; i++) assertEquals((await good.receive())?.length, 2 ** 20);
  await until("one connection is open", () => test.server.connections.size === 1);
  assertEquals(test.codes, ["handler ERR_SLOW_CONSUMER"]);
  assertEquals(test.server.stats().overall.slowConsumers, 1);
});

Deno.test("Server gives each connection the size of message that setFraming asks for", async () => {
  await using test = await started({ maxMessageBytes: 8 }, async (conn) => {
    conn.setFraming(lines.framing, { maxMessageBytes: 20 });
    for await (const message of conn) await conn.send(message);
  });
  const talk = async (conn: Connection, word: string) => {
    await using _conn = conn;
    return await ask(conn, word).catch(codeOf);
  };
  assertEquals(await talk(await test.connect(), "x".repeat(20)), "x".repeat(20));
  assertEquals(await talk(await test.connect(), "x".repeat(21)), null);
  assertEquals(test.codes, ["handler ERR_FRAME_TOO_LARGE"]);
});
