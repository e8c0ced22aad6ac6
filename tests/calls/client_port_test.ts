// Calls over a client: they wait for a link, and pass from a lost one to the next.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Client, ClosedError, serve, TimeoutError } from "@parley/parley";
import { answer, call, caller, contract } from "@parley/parley/calls";
import { Program } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";

const math = contract({
  add: call<{ a: number; b: number }, number>(),
  later: call<number, number>(),
  again: call<number, number>({ idempotent: true }),
});

/** The same as in `call_server.ts`. */
const jobs = contract({
  pid: call<void, number>({ idempotent: true }),
  work: call<number, number>(),
  safeWork: call<number, number>({ idempotent: true }),
  runs: call<void, number>(),
});

const RECONNECT = { reconnect: { minDelayMs: 10, maxDelayMs: 50 }, trialMs: 0 };

Deno.test("caller() over a client waits for the link within its time, and calls both ways", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/s`;
  await using client = new Client({ path, ...RECONNECT });
  const remote = caller(client, math);
  const late = await assertRejects(
    () => remote.add({ a: 1, b: 2 }, { timeoutMs: 30 }),
    TimeoutError,
  );
  assertEquals(late.code, "ERR_CALL_TIMEOUT");
  const early = Array.from({ length: 50 }, (_, i) => remote.add({ a: i, b: 1 }));
  answer(client, math, { add: ({ a, b }) => a * b, later: (n) => n, again: (n) => n });
  await using server = serve({ path });
  answer(server, math, { add: ({ a, b }) => a + b, later: (n) => n, again: (n) => n });
  assertEquals(
    await settles("calls", Promise.all(early)),
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
  const [conn] = server.connections.values();
  assertEquals(await caller(conn!, math).add({ a: 6, b: 7 }), 42);
  await client.close();
  const closed = await assertRejects(() => remote.add({ a: 1, b: 2 }), ClosedError);
  assertEquals(closed.code, "ERR_CLOSED");
});

Deno.test("caller() over a client refuses other readers of it, and is refused beside one", async () => {
  await using server = serve({});
  answer(server, math, { add: ({ a, b }) => a + b, later: (n) => n, again: (n) => n });
  await server.ready;
  await using client = new Client(server.addr);
  const remote = caller(client, math);
  await assertRejects(() => client.receive(), TypeError, "calls take every message of this client");
  await assertRejects(() => client.receive({ timeoutMs: 5 }), TypeError, "calls take every");
  await assertRejects(() => client[Symbol.asyncIterator]().next(), TypeError, "calls take every");
  assertEquals(await remote.add({ a: 1, b: 2 }), 3);
  await assertRejects(() => client.connection!.receive(), TypeError, "calls take every");
  await using other = new Client(server.addr);
  const waiting = other.receive();
  assertThrows(() => caller(other, math), TypeError, "another reader waits on this client");
  await other.close();
  await waiting.catch(() => {});
});

Deno.test("caller() over a client answers across links: idempotent and unsent calls go on, others reject", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/s`;
  await using client = new Client({ path, ...RECONNECT });
  const remote = caller(client, math);
  answer(client, math, { add: ({ a, b }) => a - b, later: (n) => n, again: (n) => n });
  let held = 0;
  const begin = async (isHeld: boolean) => {
    const server = serve({ path });
    const hold = Promise.withResolvers<void>();
    const wait = async (n: number) => {
      held++;
      if (isHeld) await hold.promise;
      return n;
    };
    answer(server, math, { add: ({ a, b }) => a + b, later: wait, again: wait });
    await server.ready;
    return { server, hold };
  };
  const first = await begin(true);
  const again = Array.from({ length: 20 }, (_, i) => remote.again(i));
  const later = Array.from({ length: 20 }, (_, i) => remote.later(i));
  const rest = Array.from({ length: 1100 }, (_, i) => remote.again(i));
  const lost = Promise.allSettled(later);
  await until("they run", () => held === 256);
  first.server.abort();
  await first.server.finished;
  first.hold.resolve();
  const outcomes = await settles("later", lost);
  assertEquals(
    outcomes.map((each) => each.status === "rejected" ? each.reason.code : "done"),
    Array(20).fill("ERR_RESET"),
  );
  const second = await begin(false);
  assertEquals(await settles("again", Promise.all(again)), Array.from({ length: 20 }, (_, i) => i));
  assertEquals((await settles("rest", Promise.all(rest))).length, 1100);
  await until("a connection", () => second.server.connections.size === 1);
  const [conn] = second.server.connections.values();
  assertEquals(await caller(conn!, math).add({ a: 6, b: 7 }), -1);
  await second.server.shutdown();
});

Deno.test("caller() over a client loses no call while servers drain one after the other", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/s`;
  await using client = new Client({ path, ...RECONNECT });
  const remote = caller(client, math);
  let over = false;
  let calls = 0;
  const failures: unknown[] = [];
  const load = Array.from({ length: 32 }, async () => {
    while (!over) {
      calls++;
      // Not idempotent: a drain must lose none all the same.
      await remote.later(calls).catch((error) => failures.push(error));
    }
  });
  for (let round = 0; round < 4; round++) {
    const server = serve({ path });
    answer(server, math, {
      add: ({ a, b }) => a + b,
      later: async (n) => {
        await new Promise((resolve) => setTimeout(resolve, n % 5));
        return n;
      },
      again: (n) => n,
    });
    await server.ready;
    const before = calls;
    await until("calls are made", () => calls > before + 300);
    await server.shutdown();
  }
  over = true;
  await using last = serve({ path });
  answer(last, math, { add: () => 0, later: (n) => n, again: (n) => n });
  await settles("the load ends", Promise.all(load));
  assertEquals(failures, []);
});

Deno.test("caller() over a client outlives a server that is killed: idempotent calls are done, others reject", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/s`;
  await using client = new Client({ path, ...RECONNECT });
  const remote = caller(client, jobs);
  let first: number;
  let safe: Promise<number>[];
  let unsafe: Promise<PromiseSettledResult<number>[]>;
  {
    await using program = new Program("tests/support/programs/call_server.ts", [path]);
    await program.printed(/ready/);
    first = await remote.pid();
    safe = Array.from({ length: 30 }, () => remote.safeWork(200, { timeoutMs: 60_000 }));
    unsafe = Promise.allSettled(Array.from({ length: 30 }, () => remote.work(60_000)));
    await until("they run", async () => await remote.runs() === 60);
    program.kill("SIGKILL");
    await program.finish();
  }
  for (const each of await settles("unsafe", unsafe)) {
    assert(each.status === "rejected" && each.reason.code === "ERR_RESET", String(each.status));
    assert(each.reason.message.includes("may have been done"), each.reason.message);
  }
  await Deno.remove(path).catch(() => {});
  await using program = new Program("tests/support/programs/call_server.ts", [path]);
  await program.printed(/ready/);
  const pids = await settles("safe", Promise.all(safe));
  assert(pids.every((pid) => pid !== first), "the new server does them");
  assertEquals(await remote.runs(), 30);
});
