// Tests of pool.use(): what is done again, on what, how often, and what is reported.
import { assert, assertEquals } from "@std/assert";
import type { Handler } from "@parley/parley";
import { Pool, type PoolErrorContext } from "@parley/parley/pool";
import { settle } from "../support/simulation/memory_connections.ts";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { backendOf, deadPort, poolOf, question, statsOf, until } from "./backends.ts";

/** Answers each question, but ends the connection in order instead of answering while `isEnding` says so. */
function endingWhile(isEnding: () => boolean): Handler {
  return async (conn) => {
    for await (const message of conn) {
      if (isEnding()) return;
      await conn.send(message);
    }
  };
}

Deno.test("use never returns null for an answer: an orderly end without one is a failure, and is done again elsewhere", async () => {
  await using good = await backendOf("good");
  await using leaving = await backendOf("leaving", endingWhile(() => true));
  await using pool = poolOf([good, leaving], {
    balance: "round-robin",
    retryBudget: { minPerSecond: 1000 },
  });
  for (let i = 0; i < 20; i++) {
    const answer = await pool.use(async (conn) => {
      await conn.send(`${i}`);
      return await conn.receive({ timeoutMs: 5000 });
    }, { retries: 1 });
    assertEquals(
      answer && new TextDecoder().decode(answer),
      `good ${i}`,
      "The retry prefers the other backend",
    );
  }
  assert(statsOf(pool, "leaving").leasesFailed >= 10);
});

Deno.test("use has receive, iteration and streams reject where an answer is missing", async () => {
  await using leaving = await backendOf("a", endingWhile(() => true));
  await using pool = poolOf([leaving]);
  const reads: ((conn: Parameters<Parameters<Pool["use"]>[0]>[0]) => Promise<unknown>)[] = [
    (conn) => conn.receive(),
    (conn) => Array.fromAsync(conn),
    (conn) => conn.readable.getReader().read(),
  ];
  for (const read of reads) {
    const error = await errorOf(pool.use(async (conn) => {
      await conn.send("?");
      return await read(conn);
    }));
    assertEquals(codeOf(error), "ERR_CLOSED");
    assert(
      error.message.includes('"a" ended the connection in order before it answered'),
      error.message,
    );
  }
});

Deno.test("orderly ends open no circuit and eject no backend, however many", async () => {
  let ending = true;
  await using a = await backendOf("a", endingWhile(() => ending));
  await using b = await backendOf("b");
  await using pool = poolOf([a, b], {
    balance: "round-robin",
    breaker: { failures: 2 },
    outliers: { intervalMs: 10, minLeases: 1, ejectMs: 60_000 },
  });
  const codes = new Set<string>();
  for (let i = 0; i < 40; i++) {
    codes.add(await pool.use((conn) => question(conn, "?")).then(() => "answered", codeOf));
    if (i % 10 === 9) await until(() => pool.stats().backends.every(({ busy }) => busy === 0));
  }
  assertEquals(codes, new Set(["ERR_CLOSED", "answered"]));
  // Released without an answer, or failed with the error of the end: the same.
  for (const give of ["release", "fail"] as const) {
    for (let i = 0; i < 6; i++) {
      const lease = await pool.acquire();
      await lease.conn.send("?");
      const error = await lease.conn.receive().catch((error) => error);
      if (give === "release" || !(error instanceof Error)) lease.release();
      else lease.fail(error);
    }
  }
  const { breakerOpened, ejections, leasesFailed, state } = statsOf(pool, "a");
  assertEquals([breakerOpened, ejections, state], [0, 0, "ready"]);
  assert(leasesFailed >= 20, "Each is counted all the same");
  ending = false;
  for (let i = 0; i < 10; i++) await pool.use((conn) => question(conn, "?"));
});

Deno.test("a lease that its holder calls failed counts, also after an orderly end", async () => {
  await using a = await backendOf("a", endingWhile(() => true));
  await using pool = poolOf([a], { breaker: { failures: 2, openMs: 60_000 } });
  for (let i = 0; i < 2; i++) {
    const lease = await pool.acquire();
    await errorOf(question(lease.conn, "?"));
    lease.fail(new Error("The answer makes no sense"));
  }
  await until(() => statsOf(pool, "a").state === "open");
});

Deno.test("use takes another connection, at no cost, when a kept one had ended already", async () => {
  // The end of each connection comes at the very moment of its second question.
  await using backend = await backendOf("a", async (conn) => {
    const first = await conn.receive();
    if (first !== null) await conn.send(first);
    await conn.receive();
  });
  await using pool = poolOf([backend], {
    retryBudget: { ratio: 0, minPerSecond: 0 },
    breaker: { failures: 1, openMs: 60_000 },
  });
  const attempts: number[] = [];
  for (let i = 0; i < 20; i++) {
    const answer = await pool.use((conn, { attempt }) => {
      attempts.push(attempt);
      return question(conn, `${i}`);
    }, { retries: 1 });
    assertEquals(answer, `${i}`);
  }
  assertEquals(new Set(attempts), new Set([1]));
  const { retries, retriesRefused } = pool.stats();
  assertEquals([retries, retriesRefused, statsOf(pool, "a").state], [0, 0, "ready"]);
  assertEquals(attempts.length, 39, "All but the first found a connection that was kept");

  const error = await errorOf(pool.use((conn) => question(conn, "?")));
  assertEquals(codeOf(error), "ERR_CLOSED", "Without retries nothing is done twice");
});

Deno.test("use gives a failing backend no more than its retries when kept connections go on ending", async () => {
  let answering = true;
  await using backend = await backendOf("a", endingWhile(() => !answering));
  await using pool = poolOf([backend], { breaker: false, retryBudget: { minPerSecond: 1000 } });
  const leases = await Promise.all(Array.from({ length: 16 }, () => pool.acquire()));
  for (const lease of leases) await question(lease.conn, "?");
  for (const lease of leases) lease.release();
  answering = false;
  let works = 0;
  const failing = pool.use((conn) => {
    works++;
    return question(conn, "?");
  }, { retries: 1 });
  assertEquals(codeOf(await errorOf(failing)), "ERR_CLOSED");
  assertEquals(works, 10, "Four connections more for each of two attempts");
});

Deno.test("use does not take a failed acquire for failed work: it is not tried again", async () => {
  await using pool = new Pool({
    ...lines,
    backends: [{ name: "dead", port: deadPort() }],
    maxDialAttempts: 1,
  });
  let works = 0;
  const error = await errorOf(
    pool.use(() => void works++, { retries: 5, isRetriable: () => true }),
  );
  assertEquals([codeOf(error), works, statsOf(pool, "dead").dials], ["ERR_CONNECT_REFUSED", 0, 1]);
  assertEquals(pool.stats().retries, 0);

  await using backend = await backendOf("a");
  await using full = poolOf([backend], { maxPerBackend: 1 });
  await using _lease = await full.acquire();
  const late = full.use(() => void works++, { retries: 5, isRetriable: () => true, timeoutMs: 20 });
  assertEquals([codeOf(await errorOf(late)), works], ["ERR_ACQUIRE_TIMEOUT", 0]);
  assertEquals(full.stats().waitTimeouts, 1);
});

Deno.test("onError hears of functions that throw or return a promise, and the pool goes on with the careful answer", async () => {
  await using backend = await backendOf("a");
  const told: [string, PoolErrorContext][] = [];
  const fault = new Error("A fault of the application");
  const options = {
    onError: (error: unknown, context: PoolErrorContext) => {
      told.push([error instanceof Error ? error.message : "", context]);
      throw new Error("And onError itself");
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
  const isReusable = (() => Promise.reject(fault)) as unknown as () => boolean;
  for (
    const each of [{ isReusable }, {
      isReusable: () => {
        throw fault;
      },
    }]
  ) {
    await using pool = poolOf([backend], { ...options, ...each });
    for (let i = 0; i < 2; i++) await pool.use((conn) => question(conn, "?"));
    assertEquals(statsOf(pool, "a").dials, 2, "Not used again");
    await until(() => statsOf(pool, "a").closing === 0);
  }
  assertEquals(told.map(([, context]) => context), Array(4).fill({ phase: "hook", backend: "a" }));
  assertEquals(told[2]![0], fault.message);

  told.length = 0;
  await using pool = poolOf([backend], options);
  const own = new Error("Of the work");
  for (
    const isRetriable of [() => {
      throw fault;
    }, () => Promise.reject(fault)] as unknown as (() => boolean)[]
  ) {
    const failing = pool.use(() => Promise.reject(own), { retries: 3, isRetriable });
    assertEquals(await errorOf(failing), own, "The error of the work, and no retry");
  }
  assertEquals(told.map(([, { phase }]) => phase), ["hook", "hook"]);
});

Deno.test("use that was abandoned tells onError how it failed, and one that was not tells its caller only", async () => {
  await using backend = await backendOf("a");
  const told: [unknown, PoolErrorContext][] = [];
  await using pool = poolOf([backend], {
    onError: (error, context) => void told.push([error, context]),
  });
  const own = new Error("Of the work");
  void pool.use(() => Promise.reject(own));
  await until(() => told.length === 1);
  assertEquals(told[0], [own, { phase: "use" }]);
  await errorOf(pool.use(() => Promise.reject(own)));
  await settle();
  assertEquals(told.length, 1);
});
