// The examples of typed calls, each as the processes that a reader would start.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { file, Program, runProgram } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

function linesOf(text: string): string[] {
  return text.trim().split("\n");
}

Deno.test("calls_client makes each kind of call of calls_server, by examples/calls_contract.ts", async () => {
  await using server = new Program("examples/calls_server.ts", ["0"]);
  const port = await server.port();
  const { code, stdout, stderr } = await runProgram("examples/calls_client.ts", [
    `${port}`,
    "alice",
  ]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^It is \d{4}-.*Z\n1 \+ 2 = 3\nThe sum is too big: at most 1000000\n/);
  assertEquals(stdout.match(/^Tick \d{4}-.*Z$/gm)?.length, 3);
  assertMatch(stdout, /On average 3\nfour\ntwo\n$/);
  await server.printed(/alice wants no more ticks/);
  assertMatch(server.stdout, /alice adds 1 and 2\nalice adds 999999 and 2\n/);
  assertEquals(server.stderr, "");
});

Deno.test("calls_client without the token is refused", async () => {
  await using server = new Program("examples/calls_server.ts", ["0"], { env: { TOKEN: "better" } });
  const port = await server.port();
  const { code, stdout, stderr } = await runProgram("examples/calls_client.ts", [`${port}`]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /AuthError/);
});

Deno.test("worker_pool does every job, although a worker is killed in the middle of one", async () => {
  const path = "examples/worker_pool.ts";
  await using dispatcher = new Program(path, ["dispatch", "0", "20"]);
  const port = `${await dispatcher.port()}`;
  const start = (name: string) => new Program(path, ["work", port, name]);
  await using victim = start("victim");
  await dispatcher.printed(/victim did job/);
  victim.kill("SIGSTOP"); // in the middle of a job, or just before the next one reaches it
  await using one = start("one");
  await using two = start("two");
  await dispatcher.printed(/(one|two) did job/);
  victim.kill("SIGKILL"); // while the others work
  const [, lost] = await dispatcher.printed(/victim lost job (\d+): ERR_RESET/);
  const { code, stdout, stderr } = await dispatcher.finish();
  assertEquals([code, stderr], [0, ""]);
  const done = [...stdout.matchAll(/(\w+) did job (\d+)/g)];
  assertEquals(
    done.map(([, , job]) => Number(job)).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, job) => job),
  );
  assert(done.some(([, name, job]) => job === lost && name !== "victim"));
  assertMatch(stdout, /78498 primes below 1000000, in 20 jobs\n$/);
  for (const worker of [one, two]) {
    const { code, stderr } = await worker.finish();
    assertEquals([code, stderr], [0, ""]);
  }
});

Deno.test("chat_room shows a newcomer what was said, each line with the name that its token proves", async () => {
  await using folder = new TempDir();
  const tokens = `${folder.path}/tokens.txt`;
  await Deno.writeTextFile(tokens, "alice a-secret\nbob b-secret\ncarol c-secret\n");
  const path = "examples/chat_room.ts";
  await using room = new Program(path, ["open", "0", tokens]);
  const port = `${await room.port()}`;
  const enter = (name: string, token: string) =>
    new Program(path, ["enter", port, name], { env: { TOKEN: token }, keepStdin: true });
  await using alice = enter("alice", "a-secret");
  await alice.printed(/room: alice came in/);
  await alice.type("Is this on?\n");
  await alice.printed(/alice: Is this on\?/);
  await using bob = enter("bob", "b-secret");
  await bob.printed(/room: alice came in\nalice: Is this on\?\nroom: bob came in/);
  await bob.type("It is\n");
  await alice.printed(/bob: It is/);
  bob.kill("SIGKILL");
  await alice.printed(/room: bob left/);
  const thief = await runProgram(path, ["enter", port, "bob"], {
    env: { TOKEN: "a-secret" },
    stdin: "I am bob\n",
  });
  assertMatch(thief.stderr, /^ERR_AUTH: /);
  // Its standard input ends: it says its line, and leaves.
  const carol = await runProgram(path, ["enter", port, "carol"], {
    env: { TOKEN: "c-secret" },
    stdin: "  Hello \n",
  });
  assertEquals([carol.code, carol.stderr], [0, ""]);
  await alice.printed(/carol: Hello/);
  const said = [
    "room: alice came in",
    "alice: Is this on?",
    "room: bob came in",
    "bob: It is",
    "room: bob left",
    "carol: Hello",
  ];
  const isOfCarol = (line: string) => line.startsWith("room: carol"); // it may be heard later
  assertEquals(linesOf(alice.stdout).filter((line) => !isOfCarol(line)), said);
  room.kill("SIGKILL");
  const left = await alice.finish();
  assertEquals(left.code, 1);
  assertMatch(left.stderr, /^ERR_RESET: /);
});

Deno.test("collector follows five agents, questions each, and takes what they report", async () => {
  const path = "examples/collector.ts";
  await using collector = new Program(path, ["collect", "0", "5"]);
  const port = `${await collector.port()}`;
  const names = [1, 2, 3, 4, 5].map((n) => `agent-${n}`);
  const agents = await Promise.all(
    names.map((name) => runProgram(path, ["measure", port, name])),
  );
  for (const { code, stdout, stderr } of agents) {
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^20 results, \d+\.\d MB\/s\n$/);
  }
  const { code, stdout, stderr } = await collector.finish();
  assertEquals([code, stderr], [0, ""]);
  const lines = linesOf(stdout);
  for (const name of names) {
    const told = lines.filter((line) => line.startsWith(name));
    assertMatch(told[0]!, /runs on \w+ with \d+ cores$/);
    const progress = told.flatMap((line) => /(\d+) %$/.exec(line)?.[1] ?? []).map(Number);
    assertEquals(progress, progress.toSorted((a, b) => a - b));
    assertEquals(progress.at(-1), 100);
  }
  assertEquals(lines.slice(-5).map((line) => /^\S+(?=: [\d.]+ MB\/s$)/.exec(line)?.[0]), names);
});

Deno.test("the examples of calls have no envelope by hand", async () => {
  const names = ["calls_contract", "calls_server", "calls_client"];
  for (const name of [...names, "worker_pool", "chat_room", "collector"]) {
    const code = await Deno.readTextFile(file(`examples/${name}.ts`));
    assertEquals([name, /JSON\.|TextDecoder|TextEncoder|\bas (?!const)[A-Z]/.exec(code)], [
      name,
      null,
    ]);
  }
});
