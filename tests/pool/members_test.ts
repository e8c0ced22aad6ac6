// Backends that come and go while the pool works: added, drained, resumed, removed, looked up by name.
import { assert, assertEquals } from "@std/assert";
import { Pool, type Resolver } from "@parley/parley/pool";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { askOnce, backendOf, poolOf, question, statsOf, until } from "./backends.ts";

/** Callers that ask without pause until they are stopped; wrong answers and errors are kept. */
function callers(pool: Pool, count: number) {
  let going = true;
  let answers = 0;
  const faults: string[] = [];
  const all = Array.from({ length: count }, async (_, caller) => {
    for (let i = 0; going; i++) {
      try {
        const answer = await askOnce(pool, `${caller}-${i}`);
        answer.endsWith(` ${caller}-${i}`) ? answers++ : faults.push(answer);
      } catch (error) {
        faults.push(codeOf(error));
      }
    }
  });
  return {
    get answers() {
      return answers;
    },
    async stop() {
      going = false;
      await Promise.all(all);
      return faults;
    },
  };
}

Deno.test("drain ends a backend's leases in order and loses nothing, under load", async () => {
  await using a = await backendOf("a");
  await using b = await backendOf("b");
  await using pool = poolOf([a, b], { maxPerBackend: 8 });
  const load = callers(pool, 20);
  await until(() => a.questions > 200 && b.questions > 200);
  await pool.drain("a");
  const questions = a.questions;
  const { state, busy, idle, closing, leases } = statsOf(pool, "a");
  assertEquals({ state, busy, idle, closing }, { state: "drained", busy: 0, idle: 0, closing: 0 });
  assertEquals(a.server.connections.size, 0);
  assert(a.ends.length > 0);
  assertEquals(new Set(a.ends), new Set(["in order"]));

  const before = b.questions;
  await until(() => b.questions > before + 200);
  assertEquals(
    [a.questions, statsOf(pool, "a").leases],
    [questions, leases],
    "Not one more after the drain",
  );

  pool.resume("a");
  await until(() => a.questions > questions + 200);
  assertEquals(await load.stop(), []);
  assertEquals(load.answers, a.questions + b.questions);
});

Deno.test("drain tells holders, waits for them, and cuts them at its deadline", async () => {
  await using a = await backendOf("a");
  await using b = await backendOf("b");
  await using pool = poolOf([a, b], { balance: "round-robin" });
  const leases = [await pool.acquire(), await pool.acquire()];
  const [lease] = leases.filter(({ backend }) => backend === "a");
  assertEquals(lease!.draining.aborted, false);
  const draining = pool.drain("a", { timeoutMs: 5000 });
  assertEquals(codeOf(lease!.draining.reason), "ERR_GOING_AWAY");
  assertEquals(await question(lease!.conn, "last"), "a last");
  lease!.release();
  await draining;
  assertEquals(a.ends.length + a.server.connections.size, 1);

  const error = await errorOf(pool.drain("b", { timeoutMs: 20 }));
  assertEquals([codeOf(error), (error as { cutConnections?: number }).cutConnections], [
    "ERR_DRAIN_TIMEOUT",
    1,
  ]);
  assertEquals(statsOf(pool, "b").leasesFailed, 0);
  assertEquals(codeOf(await errorOf(pool.acquire())), "ERR_NO_BACKEND");
  pool.resume("b");
  assertEquals(await askOnce(pool, "?"), "b ?");
});

Deno.test("add and remove change the backends of a pool under load", async () => {
  await using a = await backendOf("a");
  await using b = await backendOf("b");
  await using pool = poolOf([a]);
  const load = callers(pool, 10);
  await until(() => a.questions > 100);
  pool.add(b.backend);
  await until(() => b.questions > 100);
  await pool.remove("a");
  assertEquals(pool.stats().backends.map(({ name }) => name), ["b"]);
  pool.add(a.backend);
  const { questions } = a;
  await until(() => a.questions > questions + 100);
  assertEquals(await load.stop(), []);
  assertEquals(load.answers, a.questions + b.questions);
});

Deno.test("add, drain, resume and remove refuse what makes no sense", async () => {
  await using a = await backendOf("a");
  const pool = poolOf([a]);
  for (
    const [deed, name] of [
      [() => pool.add(a.backend), "TypeError"],
      [() => pool.add({ port: 70_000 }), "RangeError"],
      [() => pool.drain("b"), "TypeError"],
      [() => pool.drain("a", { timeoutMs: 0 }), "RangeError"],
      [() => pool.remove("b"), "TypeError"],
      [() => pool.resume("a"), "TypeError"],
    ] as const
  ) {
    assertEquals((await errorOf((async () => await deed())())).name, name);
  }
  await pool.close();
  assertEquals((await errorOf((async () => await pool.add({ port: 1 }))())).name, "ClosedError");
});

Deno.test("resolve makes each address of a name a backend, and follows changes", async () => {
  await using a = await backendOf("a");
  const { port } = a.backend;
  let addresses = ["127.0.0.1"];
  const asked: string[] = [];
  const resolve: Resolver = (hostname) => {
    asked.push(hostname);
    return Promise.resolve(addresses);
  };
  await using b = await backendOf("b", null, { hostname: "127.0.0.2", port });
  const backends = [{ name: "svc", hostname: "backends.example", port, resolve }];
  await using pool = new Pool({ ...lines, backends, resolveIntervalMs: 20 });
  assertEquals(await askOnce(pool, "first"), "a first", "The first caller waits for the look-up");
  assertEquals(pool.stats().backends.map(({ name }) => name), ["svc/127.0.0.1"]);
  assertEquals(asked[0], "backends.example");

  const load = callers(pool, 5);
  addresses = ["127.0.0.1", "127.0.0.2"];
  await until(() => b.questions > 50);
  addresses = ["127.0.0.2"];
  await until(() => pool.stats().backends.length === 1);
  assertEquals(pool.stats().backends[0]?.name, "svc/127.0.0.2");
  assertEquals(await load.stop(), []);

  await pool.drain("svc");
  assertEquals(statsOf(pool, "svc/127.0.0.2").state, "drained");
  pool.resume("svc");
  assertEquals(await askOnce(pool, "?"), "b ?");
  await pool.remove("svc");
  assertEquals(pool.stats().backends, []);
});

Deno.test("resolve keeps known addresses when a look-up fails, and tells when there never were any", async () => {
  await using a = await backendOf("a");
  let answer: () => Promise<string[]> = () => Promise.reject(new Error("No such name"));
  const backends = [{ ...a.backend, resolve: () => answer() }];
  await using pool = new Pool({ ...lines, backends, resolveIntervalMs: 20, onError: () => {} });
  const error = await errorOf(pool.acquire());
  assertEquals([codeOf(error), (error.cause as Error).message], ["ERR_NO_BACKEND", "No such name"]);
  answer = () => Promise.resolve(["127.0.0.1"]);
  await until(() => pool.stats().backends.length === 1);
  assertEquals(await askOnce(pool, "?"), "a ?");
  let failures = 0;
  answer = () => {
    failures++;
    return failures % 2 === 0 ? Promise.resolve([]) : Promise.reject(new Error("No such name"));
  };
  await until(() => failures > 3);
  assertEquals(await askOnce(pool, "?"), "a ?");
});

Deno.test("resolve: true asks the system", async () => {
  await using a = await backendOf("a");
  await using pool = new Pool({
    ...lines,
    backends: [{ ...a.backend, hostname: "localhost", resolve: true }],
  });
  assertEquals(await askOnce(pool, "?"), "a ?");
  assert(pool.stats().backends.some(({ address }) => address === `127.0.0.1:${a.backend.port}`));
});
