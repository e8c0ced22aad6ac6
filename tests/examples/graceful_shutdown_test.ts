// Tests of examples/graceful_shutdown.ts: a drain that loses nothing, its deadline, and a second signal.
import { connect, type Connection } from "@parley/parley";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Program } from "../support/programs/program.ts";
import { text } from "../support/bytes.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const CLIENTS = 200;
const IN_FLIGHT = 16;

/**
 * Sends a job that takes an hour, and returns when the server is at it: what it never received
 * would be no reason to wait.
 */
async function keepBusy(conn: Connection): Promise<void> {
  // One write carries both, and the server works off a connection's jobs in order.
  await Promise.all([conn.send("first 0"), conn.send("stuck 3600000")]);
  assertEquals(text((await conn.receive())!), "done first");
}

/** Signals that end programs are a matter of POSIX. */
const ignore = Deno.build.os === "windows";

/**
 * Sends jobs without pause, some on their way at any time, until the server ends the connection;
 * collects what was answered.
 */
async function load(
  conn: Connection,
  client: number,
  answered: string[],
  onAnswer: () => void,
): Promise<void> {
  let next = 0;
  const ask = () => void conn.send(`${client}-${next++} 1`).catch(() => {}); // may be on its way at the end
  for (let i = 0; i < IN_FLIGHT; i++) ask();
  for await (const message of conn) {
    const [, id] = /^done (.+)$/.exec(text(message)) ?? [];
    assert(id !== undefined, `Not an answer: ${text(message)}`);
    answered.push(id);
    onAnswer();
    ask();
  }
  await conn.close().catch(() => {});
}

Deno.test({
  name:
    "graceful_shutdown on SIGTERM under 200 clients: what was answered was done, what was done was answered, nothing twice",
  ignore,
  async fn() {
    await using folder = new TempDir();
    const journal = `${folder.path}/journal.txt`;
    await using server = new Program("examples/graceful_shutdown.ts", ["0", journal]);
    const port = await server.port();
    const answered: string[] = [];
    const busy = Promise.withResolvers<void>();
    const conns = await Promise.all(Array.from({ length: CLIENTS }, () => connect({ port })));
    const loads = conns.map((conn, i) =>
      load(conn, i, answered, () => {
        if (answered.length === 10 * CLIENTS) busy.resolve();
      })
    );
    await busy.promise;
    server.kill("SIGTERM");
    await Promise.all(loads);
    const { code, stdout, stderr } = await server.finish();
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertMatch(stdout, /Draining 200 connections\nStopped, nothing lost\n$/);

    const done = (await Deno.readTextFile(journal)).split("\n").slice(0, -1);
    assertEquals(new Set(done).size, done.length, "a job was done twice");
    assertEquals(new Set(answered).size, answered.length, "a job was answered twice");
    assertEquals(done.toSorted(), answered.toSorted());
    assert(done.length >= 10 * CLIENTS);
  },
});

Deno.test({
  name: "graceful_shutdown cuts a job that is not done at the deadline, says so, and ends with 1",
  ignore,
  async fn() {
    await using folder = new TempDir();
    await using server = new Program("examples/graceful_shutdown.ts", [
      "0",
      `${folder.path}/journal.txt`,
      "300",
    ]);
    const port = await server.port();
    await using quick = await connect({ port });
    await using stuck = await connect({ port });
    await keepBusy(stuck);
    await quick.send("quick 1");
    assertEquals(text((await quick.receive())!), "done quick");
    server.kill("SIGTERM");
    assertEquals(await quick.receive(), null);
    await quick.close();
    const { code, stderr } = await server.finish();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^ERR_DRAIN_TIMEOUT: Cannot drain within 300 ms: 1 handlers? still ran, 1 connections?/,
    );
    assertEquals(await stuck.receive().catch(() => null), null); // no answer
    assertEquals(await Deno.readTextFile(`${folder.path}/journal.txt`), "first\nquick\n");
  },
});

Deno.test({
  name: "graceful_shutdown ends at once when it is asked a second time",
  ignore,
  async fn() {
    await using folder = new TempDir();
    await using server = new Program("examples/graceful_shutdown.ts", [
      "0",
      `${folder.path}/journal.txt`,
      "60000",
    ]);
    await using conn = await connect({ port: await server.port() });
    await keepBusy(conn);
    server.kill("SIGTERM");
    await server.printed(/Draining/);
    server.kill("SIGTERM");
    assertEquals((await server.finish()).code, 130);
  },
});
