// Tests of parley serve, as a process with real clients.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Arguments } from "../../../cli/command/arguments.ts";
import { UsageError } from "../../../cli/command/usage.ts";
import { limitsOf, serveCommand } from "../../../cli/commands/serve.ts";
import { connect, type Connection } from "../../../client.ts";
import { delimited, lengthPrefixed, raw } from "../../../framing.ts";
import { createCa, createCertificate, writeIdentity } from "../../../tls/mod.ts";
import { testCerts } from "../../support/programs/certs.ts";
import { isAlive } from "../../support/programs/alive.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { Program, runProgram } from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { until } from "../../support/wait.ts";

const lines = delimited("\n");
const noSignals = Deno.build.os === "windows";

/** Where a server says that it listens. */
async function portOf(server: Program): Promise<number> {
  return Number((await server.said(/^listening on .*:(\d+)$/m))[1]);
}

async function ask(connection: Connection, message: string): Promise<string | null> {
  await connection.send(message);
  return await answer(connection);
}

async function answer(connection: Connection): Promise<string | null> {
  const message = await connection.receive();
  return message === null ? null : new TextDecoder().decode(message);
}

Deno.test({
  name:
    "parley serve echoes, answers what it has received when SIGINT comes, and tells a summary as JSON",
  ignore: noSignals,
  async fn() {
    await using server = new Program(PARLEY_MAIN, ["serve", "0", "--json", "--stats", "0"]);
    const port = await portOf(server);
    const [, page] = await server.said(/^statistics on (http:.*)$/m);
    assertEquals(await (await fetch(`${page}readyz`)).text(), "ready\n");
    const messages = Array.from({ length: 2000 }, (_, i) => `message ${i}`);
    const connection = await connect({ port, framing: lines });
    assertEquals(await ask(connection, messages[0]!), messages[0]);
    for (const message of messages.slice(1)) await connection.send(message);
    await connection.flush();
    server.kill("SIGINT");
    const answers: string[] = [];
    for await (const message of connection) answers.push(new TextDecoder().decode(message));
    // What was still under way may be left out, but no answer in between.
    assertEquals(answers, messages.slice(1, answers.length + 1));
    await connection.close();
    const { code, stdout, stderr } = await server.finish();
    assertEquals(code, 0, stderr);
    const [statistics, listening, summary] = stdout.trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals([statistics.event, statistics.url], ["statistics", page]);
    assertEquals(listening, { event: "listening", address: `127.0.0.1:${port}` });
    assertEquals(summary.event, "summary");
    assertEquals(summary.connectionsOpened, 1);
    assertEquals(summary.messagesOut, answers.length + 1);
    assertEquals(summary.messagesIn, summary.messagesOut);
  },
});

const PER_MESSAGE = `
read -r line || exit 4
case $line in
  peer) echo "$PARLEY_PEER $PARLEY_PEER_NAME $PARLEY_SECRET" ;;
  fail) echo half; echo "it went wrong" >&2; exit 3 ;;
  long) head -c 5000 /dev/zero ;;
  hang) echo $$ > "$0"; sleep 600 ;;
  *) echo "got $line" ;;
esac`;

Deno.test({
  name:
    "parley serve --per message runs a program for each message, and ends a connection whose program fails",
  ignore: noSignals,
  async fn() {
    await using folder = new TempDir();
    const pidFile = `${folder.path}/pid`;
    const certs = await testCerts();
    const path = (name: string) => `${folder.path}/${name}`;
    const [certFile, keyFile] = [path("server.pem"), path("server.key")];
    await writeIdentity({ ...certs.server, certFile, keyFile });
    await Deno.writeTextFile(path("ca.pem"), certs.ca.cert);
    const tls = ["--cert", certFile, "--key", keyFile, "--client-ca", path("ca.pem")];
    const limits = ["--max-message", "4KiB", "--max-programs", "2", "--program-timeout", "10m"];
    const run = ["--", "sh", "-c", PER_MESSAGE, pidFile];
    await using server = new Program(PARLEY_MAIN, ["serve", "0", ...tls, ...limits, ...run], {
      env: { PARLEY_SECRET: "not for programs" },
    });
    const port = await portOf(server);
    const open = () =>
      connect({ port, framing: lines, tls: { caCerts: [certs.ca.cert], ...certs.client } });
    {
      await using connection = await open();
      for (let i = 0; i < 5; i++) await connection.send(`line ${i}`);
      for (let i = 0; i < 5; i++) assertEquals(await answer(connection), `got line ${i}`);
      const { localAddr } = connection;
      assert(localAddr.transport === "tcp");
      assertEquals(await ask(connection, "peer"), `127.0.0.1:${localAddr.port} CN=agent-7 `);
    }
    for (
      const [message, told] of [["fail", /sh\\" ended with exit code 3/], [
        "long",
        /more than 4096 bytes/,
      ]]
    ) {
      await using connection = await open();
      assertEquals(await ask(connection, message as string), null, "no half answer");
      await server.said(told as RegExp);
    }
    await server.said(/sh: it went wrong/);
    // A program that hangs does not outlive a second signal.
    const last = await open();
    await last.send("hang");
    const lastPid = await pidIn(pidFile);
    server.kill("SIGTERM");
    await server.said(/draining 1 connection;/);
    server.kill("SIGTERM");
    assertEquals((await server.finish()).code, 130);
    await until("the program has ended with the server", () => !isAlive(lastPid));
    last.abort();
  },
});

async function pidIn(path: string): Promise<number> {
  let text = "";
  await until("the program has started", async () => {
    text = await Deno.readTextFile(path).catch(() => "");
    return text.endsWith("\n");
  });
  return Number(text);
}

const PER_CONNECTION = `
read -r kind
case $kind in
  sort) sort -u; exit ;;
  pid) echo $$; exec cat >/dev/null ;;
  bye) echo bye; exit ;;
  hang) echo $$; trap "" TERM; while :; do sleep 600; done ;;
esac`;

Deno.test({
  name:
    "parley serve --per connection hands messages to a program and its output back, until either ends",
  ignore: noSignals,
  async fn() {
    const options = [
      "serve",
      "0",
      "--framing",
      "u16",
      "--per",
      "connection",
      "--program-framing",
      "lines",
    ];
    const drain = ["--drain-timeout", "200ms"];
    await using server = new Program(PARLEY_MAIN, [
      ...options,
      ...drain,
      "--",
      "sh",
      "-c",
      PER_CONNECTION,
    ]);
    const port = await portOf(server);
    const open = () => connect({ port, framing: lengthPrefixed({ bytes: 2 }) });
    {
      await using connection = await open();
      for (const message of ["sort", "pear", "apple", "pear"]) await connection.send(message);
      await connection.closeWrite();
      assertEquals([await answer(connection), await answer(connection)], ["apple", "pear"]);
      assertEquals(await answer(connection), null);
    }
    {
      await using connection = await open();
      assertEquals([await ask(connection, "bye"), await answer(connection)], ["bye", null]);
    }
    {
      await using connection = await open();
      await connection.send("sort");
      await connection.send("two\nlines");
      assertEquals(await answer(connection), null, "what is no line cannot be handed on");
      await server.said(/ended early .*its own delimiter/);
    }
    const leaving = await open();
    const pid = Number(await ask(leaving, "pid"));
    assert(isAlive(pid));
    leaving.abort();
    await until("the program of a client that left has ended", () => !isAlive(pid));
    const stuck = await open();
    const stuckPid = Number(await ask(stuck, "hang"));
    server.kill("SIGINT");
    const { code, stderr } = await server.finish();
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /Cannot drain within 200 ms/);
    assert(!isAlive(stuckPid), "a program that ignores SIGTERM still runs");
    stuck.abort();
  },
});

Deno.test("parley serve ends with 1 and a hint when it cannot listen", async () => {
  await using folder = new TempDir();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const old = new Date(Date.now() - 100 * 86_400_000);
  const cases: [string[], RegExp][] = [
    [[String(taken.addr.port)], /parley serve: .*in use.*\nHint: another program listens there/is],
    [["--cert", "none.pem", "--key", "none.key"], /none\.pem.*\nHint: /s],
    [["0", "--stats", String(taken.addr.port)], /parley serve: .*in use.*\nHint: another program/s],
    [
      ["--", "no-such-program"],
      /Cannot run "no-such-program": there is no such program in PATH\nHint: /,
    ],
  ];
  const identity = await createCertificate({
    ca: await createCa({ now: old, days: 300 }),
    hosts: ["localhost"],
    now: old,
    days: 10,
  });
  const [certFile, keyFile] = [`${folder.path}/old.pem`, `${folder.path}/old.key`];
  await writeIdentity({ ...identity, certFile, keyFile });
  cases.push([
    ["--cert", certFile, "--key", keyFile],
    /has expired.*\nHint: see its dates with "parley cert show/s,
  ]);
  await Promise.all(cases.map(async ([args, told]) => {
    const { code, stdout, stderr } = await runProgram(PARLEY_MAIN, ["serve", ...args]);
    assertEquals({ code, stdout }, { code: 1, stdout: "" }, stderr);
    assertMatch(stderr, told);
    assertEquals(
      stderr.match(/^parley serve: |^Hint: /gm)?.length,
      stderr.trimEnd().split("\n").length,
    );
  }));
});

Deno.test({
  name:
    "parley serve --log-format json writes nothing but objects to standard error, each thing once",
  ignore: noSignals,
  async fn() {
    await using server = new Program(PARLEY_MAIN, [
      "serve",
      "0",
      "--log-format",
      "json",
      "--stats",
      "0",
    ]);
    const [, port] = await server.said(/"listening on 127\.0\.0\.1:(\d+)"/);
    const connection = await connect({ port: Number(port), framing: raw() });
    await connection.send("no end");
    await connection.close();
    await server.said(/ended early/);
    server.kill("SIGINT");
    const { code, stderr } = await server.finish();
    const files = ["--cert", "none.pem", "--key", "none.key"];
    const failed = await runProgram(PARLEY_MAIN, ["serve", "0", ...files, "--log-format", "json"]);
    assertEquals([code, failed.code], [0, 1]);
    const told = (text: string) => text.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(told(stderr).map(({ message }) => message.split(/ on | \d/)[0]), [
      "statistics",
      "listening",
      "A connection ended early",
      "served",
    ]);
    assertEquals(told(failed.stderr).map(({ level }) => level), ["error", "error"]);
  },
});

Deno.test("parley serve refuses options that make no sense", async () => {
  const cases: [string[], RegExp][] = [
    [["nowhere"], /An address is HOST:PORT/],
    [["1", "2"], /Unexpected argument "2"/],
    [["--per", "connection"], /needs a program/],
    [["--per", "day", "--", "cat"], /is one of message, connection/],
    [["--program-framing", "raw", "--", "cat"], /goes with --per connection/],
    [
      ["--per", "connection", "--program-framing", "x", "--", "cat"],
      /Option "--program-framing" is lines/,
    ],
    [["--"], /The program behind -- is missing/],
    [["--cert", "a.pem"], /--cert and --key go together/],
    [["--client-ca", "a.pem"], /goes with --cert/],
    [["--idle-timeout", "5"], /a duration such as/],
    [["--max-connections", "0"], /between 1 and/],
    [["--stats", "unix:/tmp/x"], /Option "--stats" is HOST:PORT/],
    [["--log-level", "loud"], /is one of debug/],
  ];
  for (const [args, told] of cases) {
    const error = await assertRejects(
      async () => await serveCommand.run!(new Arguments(serveCommand, args)),
      UsageError,
    );
    assertMatch(error.message, told);
  }
});

Deno.test("parley serve hands limits on to the library", () => {
  const limits = (...typed: string[]) => limitsOf(new Arguments(serveCommand, typed));
  assertEquals(limits(), { idleTimeoutMs: 300_000, rateLimits: { perConnection: {} } });
  assertEquals(
    limits(
      "--max-connections",
      "10",
      "--max-per-source",
      "2",
      "--idle-timeout",
      "0s",
      "--bytes-per-second",
      "1MiB",
    ),
    {
      maxConnections: 10,
      maxConnectionsPerSource: 2,
      idleTimeoutMs: 0,
      rateLimits: { perConnection: { bytesPerSecond: 2 ** 20 } },
    },
  );
  assertEquals(limits("--messages-per-second", "7", "--rates-per", "source").rateLimits, {
    perSource: { messagesPerSecond: 7 },
  });
  assertEquals(limits("--messages-per-second", "7", "--rates-per", "server").rateLimits, {
    perServer: { messagesPerSecond: 7 },
  });
});

/**
 * Names a file in its first line, and ends with its input; what it started goes on, as a child of
 * no process that we know.
 */
const LEAVING = `
read -r file
setsid sleep 600 </dev/null >/dev/null 2>&1 &
echo $! > "$file.new"
mv "$file.new" "$file"
cat`;

Deno.test({
  name:
    "parley serve ends what programs leave behind in sessions of their own: for a client when it is gone, all at the end",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using folder = new TempDir();
    const [first, second] = [`${folder.path}/first`, `${folder.path}/second`];
    await using server = new Program(PARLEY_MAIN, ["serve", "0", "--", "sh", "-c", LEAVING]);
    const port = await portOf(server);
    const [one, two] = [
      await connect({ port, framing: lines }),
      await connect({ port, framing: lines }),
    ];
    await one.send(first);
    await two.send(second);
    const [ofOne, ofTwo] = [await pidIn(first), await pidIn(second)];
    assert(isAlive(ofOne) && isAlive(ofTwo), "both clients are there");
    one.abort();
    await until("what was left for the first client has ended", () => !isAlive(ofOne));
    assert(isAlive(ofTwo), "the second client is there");
    server.kill("SIGINT");
    two.abort();
    assertEquals((await server.finish()).code, 0);
    // It has ended by then; that its entry goes is up to the system.
    await until("nothing is left behind", () => !isAlive(ofTwo));
  },
});

Deno.test({
  name:
    "SIGHUP ends no command that serves: serve, forward and ipc listen go on as hub does, and drain on SIGTERM",
  ignore: noSignals,
  async fn() {
    await using folder = new TempDir();
    const env = { PARLEY_TOKEN: "a token that is long enough", XDG_RUNTIME_DIR: folder.path };
    await Promise.all([
      ["serve", "0"],
      ["forward", "1", "office/web", "--identity", "home"],
      ["ipc", "listen", "jobs"],
    ].map(async (args) => {
      await using program = new Program(PARLEY_MAIN, args, { env });
      await program.said(/listening on /);
      program.kill("SIGHUP");
      await program.said(/SIGHUP came: going on/);
      program.kill("SIGTERM");
      const { code, stderr } = await program.finish();
      assertEquals(code, 0, stderr);
    }));
  },
});
