// Tests of a pool whose backends fail.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { delimited, serve } from "@parley/parley";
import { type Lease, Pool } from "@parley/parley/pool";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { askOnce, backendOf, deadPort, poolOf, question, statsOf, until } from "./backends.ts";

/** Leases a connection as soon as a circuit lets it. */
async function acquireSoon(pool: Pool): Promise<Lease> {
  let lease: Lease | undefined;
  for (const end = performance.now() + 10_000; lease === undefined && performance.now() < end;) {
    lease = await pool.acquire().catch(() => undefined);
    if (lease === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return lease!;
}

const BREAKER = { failures: 3, openMs: 30 } as const;

Deno.test("Pool serves everybody by the backends that are up, and stops dialling the one that is down", async () => {
  await using a = await backendOf("a");
  const backends = [a.backend, { name: "dead", port: deadPort() }];
  await using pool = new Pool({ ...lines, backends, breaker: { failures: 3, openMs: 60_000 } });
  for (let i = 0; i < 50; i++) assertEquals(await askOnce(pool, "?"), "a ?");
  await Promise.all(Array.from({ length: 50 }, () => askOnce(pool, "?")));
  const { dials, dialFailures, state, breakerOpened } = statsOf(pool, "dead");
  assertEquals([dialFailures, state, breakerOpened], [dials, "open", 1]);
  assert(dials >= 3 && dials <= 19, `${dials} dials`);
});

Deno.test("acquire fails with the dial's error after maxDialAttempts, and at once when the circuit is open", async () => {
  await using pool = new Pool({
    backends: [{ port: deadPort() }],
    breaker: { failures: 4, openMs: 60_000 },
    maxDialAttempts: 3,
  });
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_CONNECT_REFUSED");
  assertEquals(pool.stats().backends[0]?.dials, 3);
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_NO_BACKEND");
  const error = await errorOf(pool.acquire());
  assertEquals([codeOf(error), codeOf(error.cause)], ["ERR_NO_BACKEND", "ERR_CONNECT_REFUSED"]);
  assertEquals(pool.stats().backends[0]?.dials, 4);
  assertEquals([pool.stats().dialsExhausted, pool.stats().noBackend], [1, 2]);
});

Deno.test("Pool tries a broken backend again with one caller at a time, and takes it back when that goes well", async () => {
  let broken = true;
  let most = 0;
  let now = 0;
  await using backend = await backendOf("a", async (conn) => {
    for await (const message of conn) {
      most = Math.max(most, ++now);
      // No message of this framing: a backend that merely ended the connection would not have failed.
      await conn.send(broken ? "x".repeat(5000) : message);
      now--;
    }
  });
  await using pool = poolOf([backend], {
    breaker: BREAKER,
    outliers: false,
    maxMessageBytes: 1000,
  });
  const ask = () => pool.use((conn) => question(conn, "?"));
  for (let i = 0; i < 3; i++) assertEquals(codeOf(await errorOf(ask())), "ERR_FRAME_TOO_LARGE");
  await until(() => statsOf(pool, "a").state === "open");
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_NO_BACKEND");

  most = 0;
  await new Promise((resolve) => setTimeout(resolve, 40)); // the circuit's own time
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, ask));
  const codes = outcomes.map((outcome) =>
    outcome.status === "rejected" ? codeOf(outcome.reason) : "served"
  );
  assertEquals(codes.toSorted(), ["ERR_FRAME_TOO_LARGE", ...Array(9).fill("ERR_NO_BACKEND")]);
  assertEquals(most, 1, "One is the trial, nine are told");
  assertEquals(statsOf(pool, "a").breakerOpened, 2);

  broken = false;
  await until(() => statsOf(pool, "a").state === "open");
  let answer = "";
  for (const end = performance.now() + 5000; answer !== "?" && performance.now() < end;) {
    answer = await ask().catch(() => "");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals([answer, statsOf(pool, "a").state], ["?", "ready"]);
  await Promise.all(Array.from({ length: 10 }, ask));
});

Deno.test("Pool ends a trial with its first answer, however long the lease lasts", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend], { breaker: { failures: 1, openMs: 20 } });
  (await pool.acquire()).fail();
  await until(() => statsOf(pool, "a").state === "open");
  const trial = await acquireSoon(pool);
  assertEquals(statsOf(pool, "a").state, "half-open");
  assertEquals(codeOf(await errorOf(pool.acquire({ timeoutMs: 10 }))), "ERR_ACQUIRE_TIMEOUT");
  assertEquals(await question(trial.conn, "?"), "a ?");
  await until(() => statsOf(pool, "a").state === "ready");
  assertEquals(await askOnce(pool, "?"), "a ?", "Others are served while the trial is held");
  trial.fail();
  await until(() => statsOf(pool, "a").state === "open", 5000);
});

Deno.test("Pool closes no circuit for a trial that ends in order without an answer", async () => {
  let ending = true;
  await using backend = await backendOf("a", async (conn) => {
    for await (const message of conn) {
      if (ending) return;
      await conn.send(message);
    }
  });
  await using pool = poolOf([backend], { breaker: { failures: 1, openMs: 20 } });
  (await pool.acquire()).fail();
  await until(() => statsOf(pool, "a").state === "open");
  const trial = await acquireSoon(pool);
  const error = await errorOf(question(trial.conn, "?"));
  trial.fail(error);
  await until(() => statsOf(pool, "a").breakerOpened === 2);
  ending = false;
  const next = await acquireSoon(pool);
  assertEquals(await question(next.conn, "?"), "?");
  next.release();
  await until(() => statsOf(pool, "a").state === "ready");
});

Deno.test("Pool without a breaker goes on dialling", async () => {
  await using pool = new Pool({
    backends: [{ port: deadPort() }],
    breaker: false,
    maxDialAttempts: 1,
  });
  for (let i = 0; i < 8; i++) {
    assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_CONNECT_REFUSED");
  }
  assertEquals(pool.stats().backends[0]?.breaker, null);
});

Deno.test("Pool keeps attempts within the budget: retries do not multiply a failure", async () => {
  const backends = [{ name: "x", port: deadPort() }, { name: "y", port: deadPort() }];
  await using pool = new Pool({
    backends,
    breaker: false,
    maxDialAttempts: 100,
    retryBudget: { ratio: 0.1, minPerSecond: 0 },
  });
  for (let i = 0; i < 100; i++) {
    assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_CONNECT_REFUSED");
  }
  const dials = pool.stats().backends.reduce((sum, each) => sum + each.dials, 0);
  assert(dials >= 105 && dials <= 110, `${dials} dials for 100 calls`);
  assert(pool.stats().retriesRefused >= 90);
});

Deno.test("Pool ejects the backend that is slower than the others, and takes it back", async () => {
  let slowMs = 60;
  const delayed = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms));
  await using a = await backendOf("a");
  await using b = await backendOf("b");
  await using slow = await backendOf("slow", async (conn) => {
    for await (const message of conn) {
      await delayed(slowMs);
      await conn.send(message);
    }
  });
  const outliers = { intervalMs: 100, ejectMs: 1000, slowMarginMs: 30, minLeases: 3 };
  await using pool = poolOf([a, b, slow], { outliers, maxPerBackend: 4 });
  let going = true;
  const callers = Array.from({ length: 8 }, async () => {
    while (going) {
      await askOnce(pool, "?");
      await delayed(1);
    }
  });
  await until(() => statsOf(pool, "slow").state === "ejected");
  const begun = statsOf(pool, "slow").leases;
  const others = a.questions;
  await until(() => a.questions > others + 50);
  if (statsOf(pool, "slow").state === "ejected") assertEquals(statsOf(pool, "slow").leases, begun);
  slowMs = 0;
  const before = statsOf(pool, "slow").leases;
  await until(() =>
    statsOf(pool, "slow").state === "ready" && statsOf(pool, "slow").leases > before + 20
  );
  going = false;
  await Promise.all(callers);
  assert(statsOf(pool, "slow").ejections >= 1);
});

Deno.test("health checks find a backend that accepts and never answers, and no caller has to", async () => {
  let silent = false;
  await using a = await backendOf("a");
  await using b = await backendOf("b", async (conn) => {
    for await (const message of conn) {
      if (!silent) await conn.send(`b ${new TextDecoder().decode(message)}`);
    }
  });
  await using pool = poolOf([a, b], {
    health: {
      intervalMs: 20,
      // A stall of this process must not make the good one look bad.
      timeoutMs: 300,
      check: async (conn, { signal }) => {
        await conn.send("ping");
        return (await conn.receive({ signal })) !== null;
      },
    },
  });
  await until(() => statsOf(pool, "b").healthChecks > 1);
  for (let i = 0; i < 20; i++) await askOnce(pool, "?");
  assert(statsOf(pool, "b").leases > 0);

  silent = true;
  await until(() => statsOf(pool, "b").state === "unwell");
  await until(() => statsOf(pool, "b").idle === 0);
  const { leases } = statsOf(pool, "b");
  for (let i = 0; i < 20; i++) assertEquals(await askOnce(pool, "?"), "a ?");
  assertEquals(statsOf(pool, "b").leases, leases);

  silent = false;
  await until(() => statsOf(pool, "b").state === "ready");
  for (let i = 0; i < 20; i++) await askOnce(pool, "?");
  assert(statsOf(pool, "b").leases > leases);
  assert(statsOf(pool, "b").healthFailures > 0);
});

Deno.test("health checks do not take a late answer for the next one", async () => {
  await using late = await backendOf("a", async (conn) => {
    let before: Uint8Array | undefined;
    for await (const message of conn) {
      if (before !== undefined) await conn.send(before); // the answer to the question before
      before = message;
    }
  });
  await using pool = poolOf([late], {
    health: { intervalMs: 10, timeoutMs: 30, check: (conn) => question(conn, "ping") },
  });
  const states = new Set<string>();
  await until(() => statsOf(pool, "a").state === "unwell");
  await until(() => {
    states.add(statsOf(pool, "a").state);
    return statsOf(pool, "a").healthChecks >= 6;
  });
  assertEquals(states, new Set(["unwell"]));
});

Deno.test("health checks close an open circuit: the check is the trial", async () => {
  let broken = true;
  await using backend = await backendOf("a", async (conn) => {
    for await (const message of conn) {
      if (broken) return;
      await conn.send(message);
    }
  });
  await using pool = poolOf([backend], {
    breaker: { failures: 2, openMs: 20 },
    health: {
      intervalMs: 10,
      check: (conn) => question(conn, "ping").then((answer) => answer === "ping"),
    },
  });
  await until(() => statsOf(pool, "a").state === "unwell");
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_NO_BACKEND");
  broken = false;
  await until(() => statsOf(pool, "a").state === "ready");
  assertEquals(await askOnce(pool, "?"), "?");
});

Deno.test("health checks do not count as the pool's connections, and end with the pool", async () => {
  await using backend = await backendOf("a");
  const pool = poolOf([backend], {
    maxPerBackend: 1,
    health: { check: () => new Promise(() => {}), intervalMs: 10, timeoutMs: 60_000 },
  });
  await until(() => backend.server.connections.size === 1);
  assertEquals(await askOnce(pool, "?"), "a ?");
  assertEquals(backend.server.connections.size, 2);
  await pool.close();
  await until(() => backend.server.connections.size === 0);
});

Deno.test("use does failed work again elsewhere, as often as it may", async () => {
  await using good = await backendOf("good");
  await using bad = await backendOf("bad", (conn) => void conn.receive().then(() => conn.abort()));
  await using pool = poolOf([good, bad], {
    breaker: false,
    outliers: false,
    retryBudget: { minPerSecond: 1000 },
  });
  const attempts: number[] = [];
  for (let i = 0; i < 20; i++) {
    const answer = await pool.use(async (conn, { attempt }) => {
      attempts.push(attempt);
      await conn.send(`${i}`);
      const answer = await conn.receive({ timeoutMs: 1000 });
      if (answer === null) throw new DOMException("It hung up", "TimeoutError");
      return new TextDecoder().decode(answer);
    }, { retries: 20 });
    assertEquals(answer, `good ${i}`);
  }
  const failed = attempts.length - 20;
  assert(failed > 0 && statsOf(pool, "bad").leasesFailed === failed);
  assertEquals(pool.stats().retries, failed);
});

Deno.test("use does nothing twice unless asked to", async () => {
  await using bad = await backendOf("bad", (conn) => void conn.receive().then(() => conn.abort()));
  await using pool = poolOf([bad]);
  let attempts = 0;
  const work = async () => {
    attempts++;
    throw await Promise.resolve(new DOMException("Too late", "TimeoutError"));
  };
  assertEquals((await errorOf(pool.use(work))).name, "TimeoutError");
  assertEquals(attempts, 1);
  assertEquals((await errorOf(pool.use(work, { retries: 2 }))).name, "TimeoutError");
  assertEquals(attempts, 4);
  assertEquals(
    (await errorOf(pool.use(work, { retries: 2, isRetriable: () => false }))).name,
    "TimeoutError",
  );
  assertEquals(attempts, 5);
  for (const retries of [-1, 1.5, 101]) {
    assertEquals((await errorOf(pool.use(work, { retries }))).name, "RangeError");
  }
});

Deno.test("use passes on what the work throws, does not blame the backend for it, and does not do it again", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend], { breaker: { failures: 1, openMs: 60_000 } });
  const mistake = new Error("A mistake of mine");
  const attempt = pool.use(async (conn) => {
    await question(conn, "?");
    throw mistake;
  }, { retries: 5 });
  assertStrictEquals(await errorOf(attempt), mistake);
  assertEquals([
    statsOf(pool, "a").leases,
    statsOf(pool, "a").leasesFailed,
    statsOf(pool, "a").state,
  ], [
    1,
    0,
    "ready",
  ]);
  const controller = new AbortController();
  const reason = new Error("Stop");
  const stopped = pool.use(async (conn, { signal }) => {
    await conn.send("?");
    controller.abort(reason);
    await conn.receive({ signal });
  }, { signal: controller.signal, retries: 5 });
  assertStrictEquals(await errorOf(stopped), reason);
  assertEquals([statsOf(pool, "a").leasesFailed, statsOf(pool, "a").state], [0, "ready"]);
});

Deno.test("Pool finds a backend that speaks another protocol, and says so", async () => {
  await using server = serve({ framing: delimited("\r\n") }, async (conn) => {
    await conn.send("x".repeat(5000));
  });
  await server.ready;
  const { addr } = server;
  await using pool = new Pool({
    backends: [addr as { port: number }],
    maxMessageBytes: 1000,
    breaker: BREAKER,
  });
  for (let i = 0; i < 3; i++) {
    assertEquals(codeOf(await errorOf(pool.use((conn) => conn.receive()))), "ERR_FRAME_TOO_LARGE");
  }
  await until(() => pool.stats().backends[0]?.state === "open");
});
