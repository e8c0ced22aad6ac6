// Tests of Pool: leases, limits, waiting, draining.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { delimited, raw } from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import {
  askOnce,
  backendOf,
  poolOf,
  question,
  statsOf,
  type TestBackend,
  until,
} from "./pool/backends.ts";
import { codeOf, errorOf, lines } from "./support/peers/servers.ts";

Deno.test("Pool opens no connection before one is wanted, and uses it again", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend]);
  assertEquals(backend.server.stats().overall.connectionsOpened, 0);
  for (let i = 0; i < 10; i++) assertEquals(await askOnce(pool, `${i}`), `a ${i}`);
  const { dials, leases, leasesReused, idle, busy } = statsOf(pool, "a");
  assertEquals({ dials, leases, leasesReused, idle, busy }, {
    dials: 1,
    leases: 10,
    leasesReused: 9,
    idle: 1,
    busy: 0,
  });
});

Deno.test("Pool spreads work over its backends in turns, and by weight", async () => {
  await using a = await backendOf("a");
  await using b = await backendOf("b");
  const backends = [{ ...a.backend, weight: 3 }, b.backend];
  await using pool = new Pool({ ...lines, backends, balance: "round-robin" });
  for (let i = 0; i < 40; i++) await askOnce(pool, "?");
  assertEquals([a.questions, b.questions], [30, 10]);
});

Deno.test("Pool works over unix sockets", async () => {
  const path = `${await Deno.makeTempDir()}/a.sock`;
  await using backend = await backendOf("a", null, { path });
  assertEquals(backend.server.addr.transport, "unix");
  await using pool = new Pool({ ...lines, backends: [{ path }] });
  assertEquals(await askOnce(pool, "?"), "a ?");
});

/** One use of a lease after which its connection must not be used again. */
const SPOILERS: Record<string, (pool: Pool) => Promise<void>> = {
  async "an answer that was not read"(pool) {
    await using lease = await pool.acquire();
    await lease.conn.send("two");
    await lease.conn.receive();
    await until(() => lease.conn.stats().heldBytes > 0);
  },
  async "a part of an answer"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "part");
    await until(() => lease.conn.stats().heldBytes > 0);
  },
  async "an answer that is still missing"(pool) {
    await using lease = await pool.acquire();
    await lease.conn.send("none");
  },
  async "bytes that are not sent yet"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "one");
    const late = lease.conn.send("x".repeat(500_000));
    assert(lease.conn.stats().queuedBytes > 0);
    await late;
  },
  async "a connection that the holder closed"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "one");
    await lease.conn.close();
  },
  async "a direction that the holder ended"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "one");
    await lease.conn.closeWrite();
  },
  async "another framing"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "one");
    lease.conn.setFraming(delimited("\r\n"));
  },
  async "other tuning"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "one");
    lease.conn.tune({ noDelay: false });
  },
  async "a connection that the backend ended"(pool) {
    await using lease = await pool.acquire();
    await question(lease.conn, "end");
    await lease.conn.inputEnded;
  },
  async "a lease that was discarded"(pool) {
    const lease = await pool.acquire();
    await question(lease.conn, "one");
    lease.discard();
  },
  async "a lease that was told to have failed"(pool) {
    const lease = await pool.acquire();
    await question(lease.conn, "one");
    lease.fail(new Error("The answer makes no sense"));
  },
};

for (const [name, spoil] of Object.entries(SPOILERS)) {
  Deno.test(`Pool never uses a connection again after ${name}`, async () => {
    await using backend = await backendOf("a", async (conn) => {
      for await (const message of conn) {
        switch (new TextDecoder().decode(message)) {
          case "two":
            await conn.send("1");
            await conn.send("2");
            break;
          case "part":
            await conn.send("1");
            conn.setFraming(raw());
            await conn.send("half");
            conn.setFraming(delimited("\n"));
            break;
          case "one":
            await conn.send("1");
            break;
          case "end":
            await conn.send("1");
            return;
        }
      }
    });
    await using pool = poolOf([backend]);
    await spoil(pool);
    assertEquals([statsOf(pool, "a").leasesSpoiled, statsOf(pool, "a").idle], [1, 0]);
    assertEquals(await askOnce(pool, "one"), "1");
    assertEquals(statsOf(pool, "a").leasesReused, 0);
    await until(() => statsOf(pool, "a").closing === 0);
  });
}

Deno.test("Pool loses none of the bytes that a holder sent and did not flush", async () => {
  let received = 0;
  await using backend = await backendOf("a", async (conn) => {
    for await (const message of conn) received += message.length;
  });
  for (const options of [{}, { isReusable: () => true }]) {
    received = 0;
    await using pool = poolOf([backend], options);
    {
      await using lease = await pool.acquire();
      await lease.conn.send("x".repeat(900_000));
    }
    await until(() => received === 900_000);
  }
});

Deno.test("Pool uses raw connections once, unless isReusable says more", async () => {
  const framing = raw();
  await using backend = await backendOf("a", null, { framing });
  await using pool = poolOf([backend], { framing });
  for (let i = 0; i < 3; i++) assertEquals(await askOnce(pool, "?"), "a ?");
  assertEquals([statsOf(pool, "a").dials, statsOf(pool, "a").leasesFailed], [3, 0]);
  await using again = poolOf([backend], {
    framing,
    isReusable: ({ messagesIn }) => messagesIn === 1,
  });
  for (let i = 0; i < 3; i++) assertEquals(await askOnce(again, "?"), "a ?");
  assertEquals(statsOf(again, "a").dials, 1);
});

Deno.test("Pool drops an idle connection that the backend ends, or on which it speaks unasked", async () => {
  for (const deed of ["end", "speak"] as const) {
    let misbehave = () => {};
    await using backend = await backendOf("a", async (conn) => {
      misbehave = () => deed === "end" ? void conn.close() : void conn.send("You there?");
      for await (const message of conn) await conn.send(message);
    });
    await using pool = poolOf([backend]);
    assertEquals(await askOnce(pool, "1"), "1");
    misbehave();
    if (deed === "end") await until(() => statsOf(pool, "a").idle === 0);
    else await until(() => statsOf(pool, "a").bytesIn > 2);
    assertEquals(await askOnce(pool, "2"), "2");
    assertEquals(statsOf(pool, "a").leasesReused, 0);
  }
});

Deno.test("Pool keeps a new connection on which the backend says hello first", async () => {
  await using backend = await backendOf("a", async (conn) => {
    await conn.send("welcome");
    for await (const message of conn) await conn.send(message);
  });
  await using pool = poolOf([backend], { maxPerBackend: 1 });
  const controller = new AbortController();
  const waiting = pool.acquire({ signal: controller.signal });
  controller.abort();
  await errorOf(waiting);
  await until(() => statsOf(pool, "a").idle === 1 && statsOf(pool, "a").bytesIn > 0);
  await using lease = await pool.acquire();
  assertEquals(new TextDecoder().decode((await lease.conn.receive())!), "welcome");
  assertEquals([await question(lease.conn, "?"), statsOf(pool, "a").dials], ["?", 1]);
});

Deno.test("Pool closes idle connections in order after idleTimeoutMs", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend], { idleTimeoutMs: 30 });
  await askOnce(pool, "?");
  await until(() => statsOf(pool, "a").idle === 0 && statsOf(pool, "a").closing === 0);
  await until(() => backend.ends.length === 1);
  assertEquals(backend.ends, ["in order"]);
  assertEquals(await askOnce(pool, "?"), "a ?");
});

Deno.test("Pool keeps maxPerBackend, maxConnections and maxWaiting: at, below and above", async () => {
  await using a = await backendOf("a");
  await using b = await backendOf("b");
  await using pool = poolOf([a, b], { maxPerBackend: 2, maxConnections: 3, maxWaiting: 2 });
  const leases = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  assertEquals(pool.stats().backends.map(({ busy }) => busy).toSorted(), [1, 2]);
  const waiting = [pool.acquire(), pool.acquire()];
  assertEquals(pool.stats().waiting, 2);
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_QUEUE_FULL");
  for (const lease of leases) lease.release();
  for (const lease of await Promise.all(waiting)) lease.release();
  const { queueFull, waiting: left, backends } = pool.stats();
  assertEquals([queueFull, left], [1, 0]);
  assertEquals(backends.reduce((sum, { idle }) => sum + idle, 0), 3);
  const most = a.server.stats().overall.connectionsOpened +
    b.server.stats().overall.connectionsOpened;
  assertEquals(most, 3);
});

Deno.test("Pool keeps a backend's own maxConnections", async () => {
  await using a = await backendOf("a");
  await using pool = new Pool({ ...lines, backends: [{ ...a.backend, maxConnections: 1 }] });
  const lease = await pool.acquire();
  const next = pool.acquire();
  assertEquals(pool.stats().waiting, 1);
  lease.release();
  (await next).release();
  assertEquals(a.server.stats().overall.connectionsOpened, 1);
});

Deno.test("Pool serves callers in the order in which they came", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend], { maxPerBackend: 2 });
  const order: number[] = [];
  await Promise.all(Array.from({ length: 50 }, async (_, number) => {
    await using lease = await pool.acquire();
    order.push(number);
    await question(lease.conn, "?");
  }));
  assertEquals(order, Array.from({ length: 50 }, (_, number) => number));
});

Deno.test("acquire rejects with its signal's reason, waits no longer than timeoutMs, and leaves nothing behind", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend], { maxPerBackend: 1 });
  await askOnce(pool, "?");
  const lease = await pool.acquire();
  const controller = new AbortController();
  const aborted = pool.acquire({ signal: controller.signal });
  const late = pool.acquire({ timeoutMs: 20 });
  const reason = new Error("Changed my mind");
  controller.abort(reason);
  assertStrictEquals(await errorOf(aborted), reason);
  assertEquals(codeOf(await errorOf(late)), "ERR_ACQUIRE_TIMEOUT");
  assertStrictEquals(await errorOf(pool.acquire({ signal: controller.signal })), reason);
  assertEquals(pool.stats().waiting, 0);
  lease.release();
  lease.release();
  lease.fail();
  assertEquals([statsOf(pool, "a").idle, statsOf(pool, "a").leasesFailed], [1, 0]);
  const { waitsAborted, waitTimeouts } = pool.stats();
  assertEquals([waitsAborted, waitTimeouts], [1, 1]);
});

Deno.test("close lets leases end, tells who waits, and closes connections in order", async () => {
  await using backend = await backendOf("a");
  const pool = poolOf([backend], { maxPerBackend: 2 });
  await askOnce(pool, "?");
  const [one, two] = [await pool.acquire(), await pool.acquire()];
  const waiting = pool.acquire();
  const closing = pool.close();
  assertEquals(pool.status, "closing");
  assertEquals(codeOf(await errorOf(waiting)), "ERR_CLOSED");
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_CLOSED");
  assert(one.draining.aborted);
  assertEquals(await question(one.conn, "last"), "a last");
  one.release();
  two.release();
  await closing;
  assertEquals(pool.status, "closed");
  await until(() => backend.ends.length === 2);
  assertEquals(backend.ends, ["in order", "in order"]);
  assertStrictEquals(pool.close(), pool.close());
});

Deno.test("close cuts leases that are still out in the end, and counts them", async () => {
  await using backend = await backendOf("a");
  const pool = poolOf([backend]);
  const leases = [await pool.acquire(), await pool.acquire()];
  const error = await errorOf(pool.close({ timeoutMs: 20 }));
  assertEquals(codeOf(error), "ERR_DRAIN_TIMEOUT");
  assertEquals((error as { cutConnections?: number }).cutConnections, 2);
  for (const { conn } of leases) assertEquals(conn.status, "closed");
  assertEquals(pool.status, "closed");
  await until(() => backend.server.connections.size === 0);
});

Deno.test("abort cuts everything now", async () => {
  await using backend = await backendOf("a");
  const pool = poolOf([backend]);
  const lease = await pool.acquire();
  const reason = new Error("Enough");
  const pending = lease.conn.receive();
  pool.abort(reason);
  assertStrictEquals(await errorOf(pending), reason);
  await until(() => pool.status === "closed");
});

Deno.test("close ends dials that are under way", async () => {
  // A listener that never accepts: the kernel does, so dialling must be held up by TLS.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr as Deno.NetAddr;
  const pool = new Pool({ backends: [{ port }], tls: {}, timeoutMs: 60_000 });
  const waiting = pool.acquire();
  await pool.close();
  assertEquals(codeOf(await errorOf(waiting)), "ERR_CLOSED");
});

Deno.test("Pool refuses options that are wrong, before any I/O", () => {
  const port = 1;
  const wrong: [unknown, string][] = [
    [undefined, "TypeError"],
    [{}, "TypeError"],
    [{ backends: {} }, "TypeError"],
    [{ backends: [null] }, "TypeError"],
    [{ backends: [{}] }, "TypeError"],
    [{ backends: [{ port: 0 }] }, "RangeError"],
    [{ backends: [{ port, path: "/x" }] }, "TypeError"],
    [{ backends: [{ port, name: "" }] }, "RangeError"],
    [{ backends: [{ port, weight: 0 }] }, "RangeError"],
    [{ backends: [{ port, maxConnections: 0 }] }, "RangeError"],
    [{ backends: [{ port, resolve: "yes" }] }, "TypeError"],
    [{ backends: [{ path: "/x", resolve: true }] }, "TypeError"],
    [{ backends: [{ port }, { port }] }, "TypeError"],
    ...[
      { balance: "random" },
      { maxPerBackend: 0 },
      { maxPerBackend: 1.5 },
      { maxConnections: 0 },
      { maxWaiting: 0 },
      { acquireTimeoutMs: 0 },
      { timeoutMs: -1 },
      { maxDialAttempts: 0 },
      { idleTimeoutMs: 0 },
      { breaker: { failures: 0 } },
      { breaker: { openMs: 100, maxOpenMs: 99 } },
      { outliers: { intervalMs: 9 } },
      { outliers: { maxFailureRatio: 2 } },
      { outliers: { ejectMs: 100, maxEjectMs: 99 } },
      { health: { check: async () => {}, intervalMs: 1 } },
      { retryBudget: { ratio: 2 } },
      { resolveIntervalMs: 0 },
      { drainTimeoutMs: 0 },
      { maxMessageBytes: 0 },
    ].map((options): [unknown, string] => [{ backends: [], ...options }, "RangeError"]),
    [{ backends: [], health: {} }, "TypeError"],
    [{ backends: [], isReusable: true }, "TypeError"],
  ];
  for (const [options, name] of wrong) {
    try {
      new Pool(options as ConstructorParameters<typeof Pool>[0]);
    } catch (error) {
      assert(error instanceof Error);
      assertEquals(error.name, name, `${JSON.stringify(options)}: ${error.message}`);
      continue;
    }
    throw new Error(`Accepted ${JSON.stringify(options)}`);
  }
});

Deno.test("Pool without backends tells so, and works once one is added", async () => {
  await using backend: TestBackend = await backendOf("a");
  await using pool = new Pool({ ...lines, backends: [] });
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_NO_BACKEND");
  pool.add(backend.backend);
  assertEquals(await askOnce(pool, "?"), "a ?");
});
