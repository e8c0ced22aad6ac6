// Calls that are made again: with the time that is left, within bounds, and with the last failure as
// their cause.
import { Client, type Connection, ProtocolError, serve, TimeoutError } from "@parley/parley";
import { answer, call, caller, contract } from "@parley/parley/calls";
import { Pool } from "@parley/parley/pool";
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { errorOf } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

const work = contract({ ask: call<void, number>({ idempotent: true }) });

const FAST = { reconnect: { minDelayMs: 1, maxDelayMs: 5 } } as const;

Deno.test("an idempotent call ends with the fault of a server that goes on to break the protocol", async () => {
  let links = 0;
  await using server = serve({ onError: () => {} }, async (conn: Connection) => {
    links++;
    await conn.receive();
    await conn.send("no frame of calls");
    for await (const _ of conn);
  });
  await server.ready;
  await using client = new Client({ ...server.addr, ...FAST });
  const error = await settles("the call", errorOf(caller(client, work).ask()));
  assertInstanceOf(error, ProtocolError);
  assertEquals(error.code, "ERR_CALL_FRAME");
  assert(links <= 4, `${links} links`);
});

Deno.test("the timeout of a call that was repeated says what failed last: client and pool", async () => {
  await using server = serve({ onError: () => {} }, async (conn: Connection) => {
    // A caller that keeps its connection says first how much it takes.
    const frame = await conn.receive();
    if (frame?.[0] === 6) await conn.receive();
    conn.abort();
  });
  await server.ready;
  await using client = new Client({ ...server.addr, ...FAST });
  await using pool = new Pool({ backends: [server.addr] });
  for (const via of [client, pool]) {
    const remote = caller(via, work);
    const error = await assertRejects(() => remote.ask(undefined, { timeoutMs: 1500 }));
    if (error instanceof TimeoutError) {
      assertEquals(error.code, "ERR_CALL_TIMEOUT");
      assertInstanceOf(error.cause, Error);
    } else assert(via === pool, "a pool has few retries");
  }
});

Deno.test("a call that goes out on the next link says the time that is left, not all of it", async () => {
  let times = 0;
  const deadlines: number[] = [];
  await using server = serve({ onError: () => {} });
  answer(server, work, {
    ask: async (_, { deadlineMs, via }) => {
      deadlines.push(deadlineMs ?? Infinity);
      if (times++ > 0) return 1;
      await new Promise((resolve) => setTimeout(resolve, 300));
      (via as Connection).abort();
      return 0;
    },
  });
  await server.ready;
  await using client = new Client({ ...server.addr, ...FAST });
  const startedMs = performance.now();
  assertEquals(await caller(client, work).ask(undefined, { timeoutMs: 20_000 }), 1);
  assertEquals(deadlines.length, 2);
  const [first, second] = deadlines as [number, number];
  assert(second - first < 250, `${second - first} ms more, ${performance.now() - startedMs}`);
});
