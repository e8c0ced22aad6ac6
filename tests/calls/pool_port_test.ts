// Calls over a pool: connections are used again, and idempotent calls go to another backend.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  type Connection,
  FramingError,
  serve,
  type Server,
  TimeoutError,
} from "@parley/parley";
import { answer, call, caller, CallError, contract } from "@parley/parley/calls";
import { bytes } from "@parley/parley/codec";
import { Pool, type PoolOptions } from "@parley/parley/pool";
import { forSeedsAsync } from "../support/random.ts";
import { settles, until } from "../support/wait.ts";

const jobs = contract({
  who: call<void, string>({ idempotent: true }),
  echo: call({ input: bytes(), output: bytes() }),
  fail: call<void, void>(),
  wait: call<number, number>(),
  hang: call<void, void>(),
}, { name: "jobs" });

/** A server that answers, and what its handlers see. */
class Backend implements AsyncDisposable {
  readonly name: string;
  readonly server: Server;
  running = 0;
  done = 0;
  aborted = 0;

  constructor(name: string) {
    this.name = name;
    this.server = serve({ onError: () => {} });
    answer(this.server, jobs, {
      who: () => name,
      echo: (data) => data,
      fail: () => {
        throw new CallError("ERR_NO", "No");
      },
      wait: async (ms) => {
        this.running++;
        await new Promise((resolve) => setTimeout(resolve, ms));
        this.done++;
        return ms;
      },
      hang: (_, { signal }) => {
        this.running++;
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            this.aborted++;
            reject(signal.reason);
          });
        });
      },
    }, { onError: () => {} });
  }

  get address() {
    return { name: this.name, ...this.server.addr } as never;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.abort();
    await this.server.finished;
  }
}

async function backends(...names: string[]): Promise<Backend[]> {
  const made = names.map((name) => new Backend(name));
  await Promise.all(made.map(({ server }) => server.ready));
  return made;
}

function poolOf(made: readonly Backend[], options: Partial<PoolOptions> = {}): Pool {
  return new Pool({
    backends: made.map(({ address }) => address),
    retryBudget: { minPerSecond: 1000 },
    ...options,
  });
}

Deno.test("caller() over a pool uses connections again, and never mixes up replies", async () => {
  const [one] = await backends("one");
  await using _one = one!;
  await using pool = poolOf([one!], { maxPerBackend: 4 });
  const remote = caller(pool, jobs);
  const sent = Array.from({ length: 400 }, (_, i) => new Uint8Array(64).fill(i));
  assertEquals(await Promise.all(sent.map((data) => remote.echo(data))), sent);
  const [stats] = pool.stats().backends;
  assertEquals([stats!.leases, stats!.leasesFailed, stats!.dials], [400, 0, 4]);
});

Deno.test("caller() over a pool that gives up at random passes no stray reply to the next call", async () => {
  const [one] = await backends("one");
  await using _one = one!;
  await using pool = poolOf([one!], { maxPerBackend: 3, breaker: false, outliers: false });
  const remote = caller(pool, jobs);
  await forSeedsAsync(1, async (random) => {
    const outcomes = await Promise.all(Array.from({ length: 300 }, async (_, i) => {
      const own = new AbortController();
      const kind = random.int(0, 4);
      if (kind === 0) {
        const call = remote.wait(random.int(0, 5), { signal: own.signal });
        setTimeout(() => own.abort(), random.int(0, 5));
        return await call.then(() => "ok", () => "ok");
      }
      if (kind === 1) {
        return await remote.wait(3, { timeoutMs: random.int(1, 5) }).then(() => "ok", () => "ok");
      }
      const data = new Uint8Array(20).fill(i);
      assertEquals(await remote.echo(data, { timeoutMs: 30_000 }), data);
      return "ok";
    }));
    assertEquals(outcomes.length, 300);
  });
  await until("handlers end", () => one!.running === one!.done);
});

Deno.test("caller() over a pool does not blame the backend for a failed call, a refusal or a request too large", async () => {
  const [one] = await backends("one");
  await using _one = one!;
  await using pool = poolOf([one!], { maxPerBackend: 1, maxMessageBytes: 1000 });
  const remote = caller(pool, jobs);
  const strange = caller(pool, contract({ unknown: call<void, void>() }));
  for (let i = 0; i < 10; i++) {
    await assertRejects(() => remote.fail(), CallError, "No");
    assertEquals(
      (await assertRejects(() => strange.unknown()) as { code?: string }).code,
      "ERR_UNKNOWN_CALL",
    );
    await assertRejects(() => remote.echo(new Uint8Array(2000)), FramingError);
  }
  const [stats] = pool.stats().backends;
  assertEquals([stats!.leasesFailed, stats!.dials, stats!.breaker], [0, 1, "closed"]);
});

Deno.test("caller() over a pool cuts a call that runs out of time, and its handler learns it", async () => {
  const [one] = await backends("one");
  await using _one = one!;
  await using pool = poolOf([one!]);
  const remote = caller(pool, jobs);
  const late = await assertRejects(() => remote.hang(undefined, { timeoutMs: 50 }), TimeoutError);
  assertEquals(late.code, "ERR_CALL_TIMEOUT");
  await until("the handler learns it", () => one!.aborted === 1);
  assertEquals(pool.stats().backends[0]!.leasesFailed, 1);
  const reason = new Error("enough");
  const own = new AbortController();
  const given = remote.hang(undefined, { signal: own.signal });
  await until("it runs", () => one!.running === 2);
  own.abort(reason);
  assertEquals(await given.catch((error) => error), reason);
  await until("the handler learns it", () => one!.aborted === 2);
  assertEquals(pool.stats().backends[0]!.leasesFailed, 1, "giving up is no failure");
  assertEquals(await remote.who(), "one");
});

Deno.test("caller() over a pool does idempotent calls again on another backend, and no others", async () => {
  const [one, two] = await backends("one", "two");
  await using _one = one!;
  await using _two = two!;
  await using pool = poolOf([one!, two!], {
    balance: "round-robin",
    breaker: false,
    outliers: false,
  });
  const remote = caller(pool, jobs);
  await Promise.all(Array.from({ length: 8 }, () => remote.who()));
  const hanging = Promise.allSettled(Array.from({ length: 8 }, () => remote.hang()));
  await until("they run", () => one!.running + two!.running === 8);
  const onOne = one!.running;
  one!.server.abort();
  assertEquals(
    await settles("who", Promise.all(Array.from({ length: 20 }, () => remote.who()))),
    Array(20).fill("two"),
  );
  two!.server.abort();
  const outcomes = await settles("hanging", hanging);
  assert(onOne > 0);
  for (const each of outcomes) {
    assert(each.status === "rejected" && each.reason instanceof ClosedError, each.status);
  }
  assertEquals(one!.running + two!.running, 8, "none was done twice");
});

Deno.test("caller() over a pool loses no call while a backend drains", async () => {
  const made = await backends("one", "two", "three");
  await using pool = poolOf(made, { balance: "round-robin" });
  const remote = caller(pool, jobs);
  let over = false;
  let calls = 0;
  const failures: unknown[] = [];
  const load = Array.from({ length: 16 }, async () => {
    while (!over) {
      calls++;
      // Not idempotent.
      await remote.wait(calls % 4).catch((error) => failures.push(error));
    }
  });
  await until("calls are made", () => calls > 200);
  await made[0]!.server.shutdown();
  await until("calls are made", () => calls > 400);
  await made[1]!.server.shutdown();
  await until("calls are made", () => calls > 600);
  over = true;
  await settles("the load ends", Promise.all(load));
  assertEquals(failures, []);
  await made[2]!.server.shutdown();
});

Deno.test("caller() over a pool refuses calls of a backend, and goes on", async () => {
  const refused: unknown[] = [];
  await using server = serve({
    onConnect: (conn: Connection) =>
      void caller(conn, jobs).who().catch((e) => refused.push(e.code)),
  });
  answer(server, jobs, {
    who: () => "one",
    echo: (data) => data,
    fail: () => {},
    wait: (ms) => ms,
    hang: () => {},
  });
  await server.ready;
  await using pool = new Pool({ backends: [server.addr] });
  const remote = caller(pool, jobs);
  for (let i = 0; i < 5; i++) assertEquals(await remote.wait(i), i);
  assertEquals(refused, ["ERR_UNKNOWN_CALL"]);
  assertEquals(pool.stats().backends[0]!.dials, 1);
});
