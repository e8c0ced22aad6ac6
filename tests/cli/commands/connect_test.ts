// Tests of parley connect through pipes, as a process against a server of this one.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Arguments } from "../../../cli/command/arguments.ts";
import { UsageError } from "../../../cli/command/usage.ts";
import { connectCommand } from "../../../cli/commands/connect.ts";
import type { Connection } from "../../../connection.ts";
import { delimited, lengthPrefixed } from "../../../framing.ts";
import { serve, type Server } from "../../../server.ts";
import { createCa, createCertificate, writeIdentity } from "../../../tls/mod.ts";
import { testCerts } from "../../support/programs/certs.ts";
import { PARLEY_MAIN, parleyProgram } from "../../support/programs/parley_program.ts";
import {
  Program,
  type ProgramOptions,
  type ProgramResult,
  runProgram,
} from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { atRest, settles, until } from "../../support/wait.ts";

const lines = delimited("\n");
const notLinux = Deno.build.os !== "linux";

/** MiB that go through the pipe; more on demand. */
const STREAM_MIB = Number(Deno.env.get("PARLEY_STREAM_MIB") ?? 16);

function portOf(server: Server): string {
  assert(server.addr.transport === "tcp");
  return String(server.addr.port);
}

function run(args: readonly string[], options: ProgramOptions = {}): Promise<ProgramResult> {
  return runProgram(PARLEY_MAIN, ["connect", ...args], options);
}

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

Deno.test({
  name:
    "parley connect carries a stream of lines there and back, waits for a slow reader, and stays small",
  ignore: notLinux, // reads /proc
  async fn() {
    await using folder = new TempDir();
    const path = `${folder.path}/echo`;
    // A unix socket holds little, so that a reader that stops is soon felt by the writer.
    await using server = serve({ path, framing: lines, writeTimeoutMs: 120_000 }, echo);
    await server.ready;
    const program = parleyProgram();
    const child = new Deno.Command(program.command, {
      args: [...program.args, "connect", `unix:${path}`],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    let written = 0;
    const writing = (async () => {
      const writer = child.stdin.getWriter();
      for (const block of blocks()) {
        await writer.write(block);
        written += block.length;
      }
      return writer;
    })();
    // It takes a while to start on a busy machine.
    await until("it takes something", () => written > 0);
    const held = await atRest(() => written, 500);
    assert(held > 0 && held < 8 * 2 ** 20, `${held} bytes were taken although none were read`);
    const reader = child.stdout.getReader();
    const wanted = blocks();
    let rest: Uint8Array = new Uint8Array(0);
    for (let got = 0, chunk: Uint8Array; got < STREAM_MIB * 2 ** 20; got += chunk.length) {
      chunk = (await reader.read()).value ?? new Uint8Array(0);
      assert(chunk.length > 0, `ended after ${got} bytes`);
      for (let at = 0; at < chunk.length;) {
        if (rest.length === 0) rest = wanted.next().value!;
        const length = Math.min(rest.length, chunk.length - at);
        if (!sameBytes(chunk.subarray(at, at + length), rest.subarray(0, length))) {
          throw new Error(`Differs after ${got + at} bytes`);
        }
        rest = rest.subarray(length);
        at += length;
      }
    }
    const peakKiB = Number(
      /VmHWM:\s*(\d+)/.exec(Deno.readTextFileSync(`/proc/${child.pid}/status`))?.[1],
    );
    assert(peakKiB < 192 * 1024, `${peakKiB} KiB were in use`);
    await (await writing).close();
    assertEquals((await reader.read()).done, true);
    assertEquals((await child.status).code, 0);
  },
});

/** Numbered lines, in blocks of 1 MiB that end in the middle of one. */
function* blocks(): Generator<Uint8Array> {
  const text = new TextEncoder().encode(
    " a line of text as they stand in logs, some eighty characters long or so\n",
  );
  for (let number = 0, mib = 0; mib < STREAM_MIB; mib++) {
    const block = new Uint8Array(2 ** 20);
    for (let at = 0; at < block.length;) {
      const line = new Uint8Array(8 + text.length);
      line.set(new TextEncoder().encode(String(number++).padStart(8, "0")));
      line.set(text, 8);
      block.set(line.subarray(0, block.length - at), at);
      at += line.length;
    }
    if (mib === STREAM_MIB - 1) block[block.length - 1] = 10;
    yield block;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

Deno.test("parley connect sends lines and prints replies to the end of both, or to what was asked for", async () => {
  await using server = serve({ framing: lines }, async (connection) => {
    for await (const message of connection) {
      const text = new TextDecoder().decode(message);
      if (text === "silence") continue;
      await connection.send(text.toUpperCase());
    }
    await connection.send("THE END");
  });
  await server.ready;
  const port = portOf(server);
  const cases: [string[], string, Partial<ProgramResult>][] = [
    [[], "one\ntwo, without an end", { stdout: "ONE\nTWO, WITHOUT AN END\nTHE END\n" }],
    [[], "", { stdout: "THE END\n" }],
    [["--count", "2"], "a\nb\nc\nd\n", { stdout: "A\nB\n" }],
    [["--count", "4"], "a\n", {
      code: 1,
      stdout: "A\nTHE END\n",
      stderr: "parley connect: Only 2 of 4 messages came\n",
    }],
    [["--keep-open", "--wait", "1s"], "a\nsilence\n", { stdout: "A\n" }],
    [["--keep-open", "--count", "1"], "silence\nb\n", { stdout: "B\n" }],
    [["--hex"], "a\u00e9\n", { stdout: "41c389\n54484520454e44\n" }],
  ];
  await Promise.all(cases.map(async ([args, stdin, wanted]) => {
    const result = await run([port, ...args], { stdin });
    assertEquals(result, { code: 0, stdout: "", stderr: "", ...wanted }, args.join(" "));
  }));
});

Deno.test("parley connect fails when answers were expected and none came, and says what was sent", async () => {
  // As a proxy does that takes the end of input for the end of all.
  await using server = serve({ framing: lines }, async (connection) => {
    for await (const message of connection) {
      if (message.length > 100) await connection.send(message);
    }
  });
  await server.ready;
  const none =
    /^parley connect: No answer came: sent 2, received 0\. .*proxy_half_close on.*--no-replies\n$/;
  const cases: [string[], string, number, RegExp][] = [
    [[], "one\ntwo\n", 1, none],
    [["--wait", "30s"], "one\ntwo\n", 1, none],
    [
      ["--keep-open", "--wait", "100ms"],
      "one\ntwo\n",
      1,
      /: sent 2, received 0\. Give it longer with --wait/,
    ],
    [
      ["--count", "3"],
      "one\ntwo\n",
      1,
      /^parley connect: Only 0 of 3 messages came: sent 2, received 0\n$/,
    ],
    [["--no-replies"], "one\ntwo\n", 0, /^$/],
    [["--wait", "0s"], "one\ntwo\n", 0, /^$/],
    [[], "", 0, /^$/],
    [[], `one\n${"x".repeat(101)}\n`, 0, /^$/],
  ];
  await Promise.all(cases.map(async ([args, stdin, code, wanted]) => {
    const result = await run([portOf(server), ...args], { stdin });
    assertMatch(result.stderr, wanted, args.join(" "));
    assertEquals(result.code, code, args.join(" "));
  }));
});

Deno.test("parley connect translates framings, and refuses what its output cannot carry", async () => {
  await using server = serve({ framing: lengthPrefixed({ bytes: 4 }) }, async (connection) => {
    for await (const message of connection) await connection.send(message);
    await connection.send("two\nlines");
  });
  await server.ready;
  const wire = [portOf(server), "--framing", "u32"];
  const [asLines, asFrames] = await Promise.all([
    run(wire, { stdin: "a\n\nb" }),
    run([...wire, "--in-framing", "u8", "--out-framing", "u8"], { stdin: "\x01a\x03b\nc" }),
  ]);
  assertEquals(asLines.stdout, "a\n\nb\n");
  assertEquals(asLines.code, 1);
  assertMatch(asLines.stderr, /holds its own delimiter at byte 3.*\nHint: .*--out-framing/);
  assertEquals(asFrames, { code: 0, stdout: "\x01a\x03b\nc\x09two\nlines", stderr: "" });
});

Deno.test("parley connect ends quietly when its output is not read any more", async () => {
  await using server = serve({ framing: lines }, async (connection) => {
    for (;;) await connection.send("again and again");
  });
  await server.ready;
  const program = parleyProgram();
  const child = new Deno.Command(program.command, {
    args: [...program.args, "connect", portOf(server)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assertEquals((await reader.read()).done, false);
  await reader.cancel();
  const [status, stderr] = await settles(
    "its end",
    Promise.all([child.status, new Response(child.stderr).text()]),
    20_000,
  );
  assertEquals([status.code, stderr], [0, ""]);
  await child.stdin.abort();
  server.abort();
});

Deno.test({
  name: "parley connect fails when its output cannot be written",
  ignore: notLinux, // has /dev/full
  async fn() {
    await using server = serve(
      { framing: lines },
      async (connection) => await connection.send("Hi!"),
    );
    await server.ready;
    const prefix = ["sh", "-c", 'exec "$@" >/dev/full', "sh"];
    const { code, stderr } = await run([portOf(server)], { prefix });
    assertEquals(code, 1);
    assertMatch(stderr, /No space left on device/);
  },
});

Deno.test({
  name:
    "parley connect, at SIGINT, takes no more input but still prints the replies to what it has sent",
  ignore: Deno.build.os === "windows", // no signals to send there
  async fn() {
    const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<void>();
    await using server = serve({ framing: lines }, async (connection) => {
      for await (const message of connection) {
        await connection.send("at it");
        await interrupted;
        await connection.send(message);
      }
    });
    await server.ready;
    await using program = new Program(PARLEY_MAIN, ["connect", portOf(server)], {
      keepStdin: true,
    });
    await program.type("question\nand half of ano");
    await program.printed(/at it/);
    program.kill("SIGINT");
    interrupt();
    const result = await program.finish();
    assertEquals(result, {
      code: 1,
      stdout: "at it\nquestion\n",
      stderr: "parley connect: Interrupted\n",
    });
  },
});

Deno.test("parley connect speaks TLS, and says why it cannot connect", async () => {
  await using folder = new TempDir();
  const certs = await testCerts();
  const path = (name: string) => `${folder.path}/${name}`;
  await Deno.writeTextFile(path("ca.pem"), certs.ca.cert);
  await Deno.writeTextFile(path("other.pem"), (await createCa()).cert);
  const past = new Date(Date.now() - 100 * 86_400_000);
  const old = await createCertificate({
    ca: await createCa({ now: past }),
    client: true,
    now: past,
    days: 10,
  });
  await writeIdentity({ ...old, certFile: path("old.pem"), keyFile: path("old.key") });
  await using server = serve({ framing: lines, tls: certs.server, onError() {} }, echo);
  await using plain = serve({ framing: lines }, (connection) => connection.abort());
  await Promise.all([server.ready, plain.ready]);
  const closed = Deno.listen({ port: 0 });
  const nobody = String(closed.addr.port);
  closed.close();
  const tls = portOf(server);
  const good = await run([tls, "--ca", path("ca.pem")], { stdin: "secret\n" });
  assertEquals(good, { code: 0, stdout: "secret\n", stderr: "" });
  const cases: [string[], RegExp][] = [
    [[nobody], /Hint: nothing listens there/],
    [[tls, "--ca", path("other.pem")], /its issuer is not trusted.*\nHint: .*--ca/s],
    [[tls, "--ca", path("ca.pem"), "--server-name", "other.example"], /Hint: .*--server-name/],
    [[tls, "--ca", path("none.pem")], /none\.pem.*\nHint: /s],
    [
      [tls, "--ca", path("ca.pem"), "--cert", path("old.pem"), "--key", path("old.key")],
      /has expired.*\nHint: /s,
    ],
    [[portOf(plain), "--tls"], /TLS.*\nHint: .*leave out --tls/s],
  ];
  await Promise.all(cases.map(async ([args, told]) => {
    const { code, stdout, stderr } = await run(args);
    assertEquals({ code, stdout }, { code: 1, stdout: "" }, stderr);
    assertMatch(stderr, told);
  }));
});

Deno.test("parley connect refuses options that make no sense", async () => {
  const cases: [string[], RegExp][] = [
    [[], /ADDRESS is missing/],
    [["1", "2"], /Unexpected argument "2"/],
    [["1", "--keep-open"], /needs --wait or --count/],
    [["1", "--count", "0"], /between 1 and/],
    [["1", "--no-replies", "--count", "2"], /"--no-replies" excludes --count/],
    [["1", "--wait", "5"], /a duration such as/],
    [["1", "--in-framing", "words"], /Option "--in-framing" is lines/],
    [["1", "--server-name", "x"], /goes with --tls/],
  ];
  for (const [args, told] of cases) {
    const error = await assertRejects(
      async () => await connectCommand.run!(new Arguments(connectCommand, args)),
      UsageError,
    );
    assertMatch(error.message, told);
  }
});
