// Tests of HealthCheck: its connection, from one check to the next and at the end.
import { assert, assertEquals } from "@std/assert";
import type { Connection } from "@parley/parley";
import type { HealthOptions, PoolErrorContext } from "@parley/parley/pool";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { backendOf, poolOf, question, statsOf, until } from "./backends.ts";

/** A health option that checks every few ms. */
function every(
  intervalMs: number,
  check: HealthOptions["check"],
  timeoutMs = 5000,
): { health: HealthOptions } {
  return { health: { intervalMs, timeoutMs, check } };
}

Deno.test("health checks keep one connection, and each may use it until it has returned", async () => {
  await using backend = await backendOf("a");
  const conns: Connection[] = [];
  await using pool = poolOf(
    [backend],
    every(10, (conn) => {
      conns.push(conn);
      return question(conn, "ping");
    }),
  );
  await until(() => conns.length >= 4);
  assertEquals(backend.server.stats().overall.connectionsOpened, 1);
  assertEquals(codeOf(await errorOf(conns[0]!.send("late"))), "ERR_CLOSED");
  assertEquals(statsOf(pool, "a").healthFailures, 0);
});

Deno.test("health checks use no connection again on which one left a reader, and blame the backend for none", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf(
    [backend],
    every(10, async (conn) => {
      await question(conn, "ping");
      void conn.receive();
    }),
  );
  await until(() => statsOf(pool, "a").healthChecks >= 4);
  assert(backend.server.stats().overall.connectionsOpened >= 4);
  assertEquals([statsOf(pool, "a").healthFailures, statsOf(pool, "a").state], [0, "ready"]);
});

Deno.test("a health connection that a backend ends in order is replaced: it stays well", async () => {
  // Each connection ends at its second question.
  await using backend = await backendOf("a", async (conn) => {
    const first = await conn.receive();
    if (first !== null) await conn.send(first);
    await conn.receive();
  });
  await using pool = poolOf(
    [backend],
    every(10, async (conn, { signal }) => {
      await conn.send("ping");
      return await conn.receive({ signal }) !== null;
    }),
  );
  await until(() => statsOf(pool, "a").healthChecks >= 6);
  assertEquals([statsOf(pool, "a").healthFailures, statsOf(pool, "a").state], [0, "ready"]);
});

Deno.test("a health check that goes on after the pool has closed leaves no connection behind", async () => {
  await using backend = await backendOf("a");
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const outcome = Promise.withResolvers<unknown>();
  const pool = poolOf(
    [backend],
    every(10, async (conn) => {
      entered.resolve();
      await go.promise;
      outcome.resolve(await conn.send("late").catch((error) => error));
      throw new Error("It does not listen to its signal");
    }, 60_000),
  );
  await entered.promise;
  await pool.close();
  await until(() => backend.server.connections.size === 0);
  go.resolve();
  assertEquals(codeOf(await outcome.promise), "ERR_CLOSED");
  await settle();
  assertEquals(backend.server.connections.size, 0);
});

Deno.test("a health check whose dial ends as the pool closes leaves no connection behind", async () => {
  await using backend = await backendOf("a");
  for (let i = 0; i < 30; i++) {
    const pool = poolOf([backend], every(10, (conn) => question(conn, "ping")));
    await settle(i % 6);
    await pool.close();
  }
  await until(() => backend.server.connections.size === 0);
});

Deno.test("onError hears why a backend became unwell, once, and ERR_NO_BACKEND has it as its cause", async () => {
  await using backend = await backendOf("a");
  const told: [unknown, PoolErrorContext][] = [];
  const fault = new Error("The disk is full");
  let well = false;
  await using pool = poolOf([backend], {
    ...every(10, () => well ? Promise.resolve() : Promise.reject(fault)),
    onError: (error, context) => void told.push([error, context]),
  });
  await until(() => statsOf(pool, "a").healthFailures >= 3);
  assertEquals(told, [[fault, { phase: "health", backend: "a" }]]);
  assertEquals((await errorOf(pool.acquire())).cause, fault);
  well = true;
  await until(() => statsOf(pool, "a").state === "ready");
  well = false;
  await until(() => told.length === 2);
});
