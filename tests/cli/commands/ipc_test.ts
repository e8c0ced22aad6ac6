// Tests of parley ipc listen, send and query, as processes that share channels.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SecretKey } from "../../../ipc/mod.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { Program, type ProgramOptions, runProgram } from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";
import { settles } from "../../support/wait.ts";

const noSignals = Deno.build.os === "windows";

/** Runs `parley ipc` with channels of its own. */
function ipcIn(folder: TempDir) {
  const env = { XDG_RUNTIME_DIR: folder.path };
  return {
    run: (args: readonly string[], options: ProgramOptions = {}) =>
      runProgram(PARLEY_MAIN, ["ipc", ...patiently(args)], {
        ...options,
        env: { ...env, ...options.env },
      }),
    start: (args: readonly string[], options: ProgramOptions = {}) =>
      new Program(PARLEY_MAIN, ["ipc", ...args], { ...options, env: { ...env, ...options.env } }),
  };
}

/** On a busy machine all may take long, unless the test is about that. */
function patiently(args: readonly string[]): string[] {
  const more = args[0] === "query" ? ["--connect-timeout", "--timeout"] : ["--connect-timeout"];
  return [...args, ...more.filter((name) => !args.includes(name)).flatMap((name) => [name, "50s"])];
}

const done = (stdout = "") => ({ code: 0, stdout, stderr: "" });

Deno.test({
  name:
    "parley ipc listen prints messages as JSON and answers queries, and ends in order on SIGINT",
  ignore: noSignals, // nor unix sockets
  async fn() {
    await using folder = new TempDir();
    const ipc = ipcIn(folder);
    await using listen = ipc.start(["listen", "jobs", "--json", "--echo"]);
    await listen.said(/listening on unix:.*\/parley\/jobs\.sock/);
    const big = "0123456789abcdef".repeat(2 ** 16);
    const bytes = new Uint8Array(2 ** 20);
    for (let at = 0; at < bytes.length; at += 65_536) {
      crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    }

    await using tail = ipc.start(["send", "jobs", "--lines", "--type", "9"], { keepStdin: true });
    await tail.type("first\nsecond ✓\n");
    const otherKey = `${folder.path}/other.key`;
    await SecretKey.generate().toFile(otherKey);
    const [whole, asked, answered, wrong, short] = await Promise.all([
      ipc.run(["send", "jobs", "--type", "4294967295"], { stdin: big }),
      ipc.run(["query", "jobs", "what?"]),
      ipc.run(["query", "jobs"], { stdin: big }),
      ipc.run(["send", "jobs", "--secret-file", otherKey], { stdin: "x" }),
      ipc.run(["send", "jobs"], { stdin: "x", env: { PARLEY_SECRET: "too short" } }),
    ]);
    assertEquals([whole, asked], [done(), done("what?")]);
    assertEquals(answered.stdout === big, true);
    assertEquals({ code: wrong.code, stdout: wrong.stdout }, { code: 1, stdout: "" });
    assertMatch(wrong.stderr, /parley ipc send: .* secret\nHint: check that the token or key/);

    assertEquals(short.code, 2);
    assertMatch(short.stderr, /must have 16 characters or more\nTry "parley ipc send --help"/);

    // What is no text comes as base64; and the answer is equal to the last byte.
    assertEquals(await ipc.run(["send", "jobs"], { stdin: bytes }), done());
    await listen.printed(/"second ✓"/);
    tail.kill("SIGINT");
    const stopped = await tail.finish();
    assertEquals(stopped.code, 1);
    assertMatch(stopped.stderr, /^parley ipc send: Interrupted; what was read was sent$/m);

    listen.kill("SIGINT");
    const { code, stdout, stderr } = await settles("its end", listen.finish());
    assertEquals(code, 0, stderr);
    const events = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(events[0], {
      event: "listening",
      address: `unix:${folder.path}/parley/jobs.sock`,
    });
    const messages = events.slice(1).map(({ type, text, base64 }) => ({ type, text, base64 }));
    assertEquals(messages.filter(({ type }) => type === 9).map(({ text }) => text), [
      "first",
      "second ✓",
    ]);
    assertEquals(messages.find(({ type }) => type === 4294967295)?.text === big, true);
    assertEquals(messages.find(({ type }) => type === 1)?.base64 === bytes.toBase64(), true);
    assertEquals(messages.length, 4);
    await assertRejects(() => Deno.stat(`${folder.path}/parley/jobs.sock`), Deno.errors.NotFound);
  },
});

Deno.test({
  name:
    "parley ipc listen asks a program, over TCP, without encryption, with a key file, and ends after --count",
  ignore: noSignals, // no cat and no false there
  async fn() {
    await using folder = new TempDir();
    const ipc = ipcIn(folder);
    const keyFile = `${folder.path}/shared.key`;
    await SecretKey.generate().toFile(keyFile);
    const shared = ["--secret-file", keyFile, "--plain"];
    await using listen = ipc.start([
      ...["listen", "words", "--count", "2", "--tcp", "0", ...shared],
      ...["--", "sh", "-c", 'read -r word; test "$word" != bad && echo "$word" | tr a-z A-Z'],
    ]);
    const [, port = ""] = await listen.said(/listening on 127\.0\.0\.1:(\d+)/);
    const there = ["words", "--tcp", port, ...shared];
    const [asked, failed, sealed, late] = await Promise.all([
      ipc.run(["query", ...there], { stdin: "loud\n" }),
      ipc.run(["query", ...there], { stdin: "bad\n" }),
      ipc.run(["query", "words", "--tcp", port, "--secret-file", keyFile, "x"]),
      ipc.run(["send", "nobody", "--connect-timeout", "1s"], { stdin: "x" }),
    ]);
    assertEquals(asked, done("LOUD\n"));
    assertEquals([failed.code, sealed.code, late.code], [1, 1, 1]);
    assertMatch(failed.stderr, /^parley ipc query: .+$/m);
    assertMatch(sealed.stderr, /^parley ipc query: /);
    assertMatch(
      late.stderr,
      /within 1000 ms\nReason: Cannot connect: .*\nHint: nothing listens there/,
    );
    await listen.said(/sh.* ended|exit code 1/);

    const lines = await ipc.run(["send", ...there, "--lines"], { stdin: "one\ntwo" });
    assertEquals(lines, done());
    const { code, stdout } = await settles("its end", listen.finish());
    assertEquals([code, stdout], [0, "one\ntwo\n"]);
  },
});

Deno.test({
  name:
    "parley ipc query gives up at its time limit and at SIGINT, and send when its server goes away",
  ignore: noSignals,
  async fn() {
    await using folder = new TempDir();
    const ipc = ipcIn(folder);
    await using listen = ipc.start([
      "listen",
      "slow",
      "--program-timeout",
      "1m",
      "--",
      "sleep",
      "60",
    ]);
    await listen.said(/listening on/);
    await using waiting = ipc.start(["query", "slow", "x", "--timeout", "50s"]);
    await using sending = ipc.start(["send", "slow", "--lines"], { keepStdin: true });
    await sending.type("hello\n");
    await listen.printed(/^hello$/m);
    const late = await ipc.run(["query", "slow", "x", "--timeout", "1s"]);
    assertEquals(late.code, 1);
    assertMatch(late.stderr, /parley ipc query: .*\nHint: allow more time with --timeout/);
    // All of it: a server that is not there, and a question that does not end.
    const beganMs = performance.now();
    const absent = await ipc.run(["query", "absent", "x", "--timeout", "1s"]);
    assertEquals(absent.code, 1);
    await using asking = ipc.start(["query", "slow", "--timeout", "1s"], { keepStdin: true });
    assertEquals((await settles("its end", asking.finish())).code, 1);
    assert(performance.now() - beganMs < 9000, "longer than what was allowed");
    waiting.kill("SIGINT");
    const { code, stderr } = await settles("its end", waiting.finish());
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /parley ipc query: Interrupted/);

    listen.kill("SIGKILL");
    await listen.finish();
    const lost = await settles("its end", sending.finish());
    assertEquals(lost.code, 1, lost.stderr);
    assertMatch(lost.stderr, /parley ipc send: .*\nHint: /);
  },
});

Deno.test({
  name: "parley ipc listen ends quietly when nobody reads its output any more",
  ignore: noSignals, // nor head
  async fn() {
    await using folder = new TempDir();
    const ipc = ipcIn(folder);
    const prefix = ["sh", "-c", '{ "$0" "$@"; echo "code $?" >&2; } | head -n 1'];
    await using listen = ipc.start(["listen", "short"], { prefix });
    await listen.said(/listening on/);
    await ipc.run(["send", "short"], { stdin: "first" });
    await listen.printed(/^first$/m);
    // A sender whose messages are no longer read may get an error or not.
    await ipc.run(["send", "short", "--lines"], { stdin: "second\nthird\n" });
    const { stderr, stdout } = await settles("its end", listen.finish());
    assertEquals(stdout, "first\n");
    assertMatch(stderr, /^listening on .*\ncode 0\n$/);
  },
});
