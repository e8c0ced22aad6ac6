// The pool's request and response example, as processes.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Program, runProgram } from "../support/programs/program.ts";

const NAMES = ["red", "green", "blue"];
const QUESTIONS = Array.from({ length: 300 }, (_, i) => `question ${i}`);

Deno.test("pooled_client asks three backends, and prints the answers in the order of the questions", async () => {
  const backends = NAMES.map((name) => new Program("examples/pool_backend.ts", [name, "0"]));
  try {
    const ports = await Promise.all(backends.map((backend) => backend.port()));
    const stdin = QUESTIONS.join("\n");
    const client = await runProgram("examples/pooled_client.ts", ports.map(String), { stdin });
    const answers = client.stdout.trimEnd().split("\n");
    assertEquals(answers.map((answer) => answer.replace(/^\w+: /, "").toLowerCase()), QUESTIONS);
    for (const name of NAMES) {
      assert(answers.some((answer) => answer.startsWith(`${name}: `)), `${name} has no work`);
    }
    assertMatch(client.stderr, /^127\.0\.0\.1:\d+ \(ready\): \d+ leases, 0 failed$/m);
    assertEquals(client.code, 0);
  } finally {
    await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()));
  }
});

Deno.test("pooled_client gets every answer although a backend is down", async () => {
  const backends = NAMES.map((name) => new Program("examples/pool_backend.ts", [name, "0"]));
  try {
    const ports = await Promise.all(backends.map((backend) => backend.port()));
    backends[0]!.kill("SIGKILL");
    await backends[0]!.finish();
    const stdin = QUESTIONS.join("\n");
    const client = await runProgram("examples/pooled_client.ts", ports.map(String), { stdin });
    assertEquals(client.stdout.trimEnd().split("\n").length, QUESTIONS.length);
    assertEquals(client.code, 0);
    backends[1]!.kill("SIGTERM");
    assertEquals((await backends[1]!.finish()).code, 0);
  } finally {
    await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()));
  }
});
