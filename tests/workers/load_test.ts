// A worker that dies under load, and a handler that fills the memory: others lose nothing.
import { assertEquals } from "@std/assert";
import { connect, type Connection, serveWorkers } from "@parley/parley";
import { ask, lines } from "../support/peers/servers.ts";
import { Program } from "../support/programs/program.ts";
import { settles, until } from "../support/wait.ts";

const CLIENTS = 16;
const IN_FLIGHT = 32;
const ROUNDS = 40;

/** How many messages of one client came back, in order and unchanged, before its end. */
async function load(conn: Connection, client: number, onRound: (round: number) => void) {
  let answered = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      onRound(round);
      const sent = Array.from({ length: IN_FLIGHT }, (_, i) => `${client} ${round} ${i}`);
      for (const message of sent) void conn.send(message).catch(() => {});
      for (const message of sent) {
        const answer = await conn.receive();
        if (answer === null) return answered;
        assertEquals(new TextDecoder().decode(answer), message);
        answered++;
      }
    }
  } catch (error) {
    assertEquals((error as { code?: string }).code, "ERR_RESET", `${error}`);
  }
  return answered;
}

Deno.test({
  name: "serveWorkers() under load loses only the connections of the worker that dies",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using stack = new AsyncDisposableStack();
    const lost: number[] = [];
    const server = stack.use(
      await serveWorkers(new URL("./echo_handler.ts", import.meta.url), {
        workers: 2,
        onError: (_, { lostConnections = 0 }) => lost.push(lostConnections),
      }),
    );
    const links = await Promise.all(Array.from({ length: CLIENTS }, async () => {
      const conn = stack.use(await connect({ ...server.addr, ...lines }));
      return { conn, worker: (await ask(conn, "who"))!.slice(0, 1) };
    }));
    const killer = stack.use(await connect({ ...server.addr, ...lines }));
    const victim = (await ask(killer, "who"))!.slice(0, 1);
    const under = Promise.withResolvers<void>();
    const results = links.map(({ conn }, client) =>
      load(conn, client, (round) => {
        if (round === ROUNDS / 4) under.resolve();
      })
    );
    await under.promise;
    await killer.send("die");
    const answered = await settles("the load", Promise.all(results));
    for (const [client, { worker }] of links.entries()) {
      if (worker !== victim) assertEquals(answered[client], ROUNDS * IN_FLIGHT);
    }
    await until("the report", () => lost.length > 0);
    assertEquals(lost, [1 + links.filter(({ worker }) => worker === victim).length]);
    // Both serve again: connections find their way to each.
    const seen = new Set<string>();
    await until("the worker is back", async () => {
      await using conn = await connect({ ...server.addr, ...lines });
      seen.add((await ask(conn, "who"))!.slice(0, 1));
      return seen.size === 2;
    });
  },
});

Deno.test({
  name: "serveWorkers() survives a handler that fills the memory of its thread",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const flags = ["--v8-flags=--max-old-space-size=64"];
    await using program = new Program("tests/workers/memory_program.ts", [], { flags });
    const port = await program.port();
    await using stack = new AsyncDisposableStack();
    const byWorker = new Map<string, Connection>();
    while (byWorker.size < 2) {
      const conn = stack.use(await connect({ port, ...lines }));
      byWorker.set((await ask(conn, "who"))!.slice(0, 1), conn);
    }
    await byWorker.get("1")!.send("fill");
    // In a process of one heap the end of memory is the end of all.
    await program.printed(/^worker: .*out of memory.*; lost [1-9]/m);
    assertEquals(await byWorker.get("1")!.receive().catch(() => null), null);
    assertEquals(await ask(byWorker.get("2")!, "still here"), "still here");
    await until("the worker is back", async () => {
      await using conn = await connect({ port, ...lines });
      return (await ask(conn, "who").catch(() => null))?.startsWith("1") === true;
    });
  },
});
