// The JSON-lines example, as two processes.
import { assertEquals, assertMatch } from "@std/assert";
import { Program, runProgram } from "../support/programs/program.ts";
import { tcpExchange } from "../support/peers/raw_peer.ts";

Deno.test("json_lines_client prints results, and the code of a request that failed", async () => {
  await using server = new Program("examples/json_lines_server.ts", ["0"]);
  const port = `${await server.port()}`;
  const [sum, upper, time, unknown, wrong] = await Promise.all([
    runProgram("examples/json_lines_client.ts", [port, "add", "19", "23"]),
    runProgram("examples/json_lines_client.ts", [port, "upper", "é", "b"]),
    runProgram("examples/json_lines_client.ts", [port]),
    runProgram("examples/json_lines_client.ts", [port, "__proto__"]),
    runProgram("examples/json_lines_client.ts", [port, "add", "one"]),
  ]);
  assertEquals(sum, { code: 0, stdout: "42\n", stderr: "" });
  assertEquals(upper.stdout, '[ "É", "B" ]\n');
  assertMatch(time.stdout, /^\d{4}-\d\d-\d\dT/);
  assertEquals(unknown, {
    code: 1,
    stdout: "",
    stderr: "NO_SUCH_METHOD: There are add, upper, time\n",
  });
  assertEquals(wrong, { code: 1, stdout: "", stderr: 'BAD_PARAMS: Wanted numbers, got "one"\n' });
});

Deno.test("json_lines_server answers each line of a raw peer, and bad JSON with a code", async () => {
  await using server = new Program("examples/json_lines_server.ts", ["0"]);
  const requests = [
    `{"id":7,"method":"add","params":[1,2]}`,
    `{"id":8,`,
    `[]`,
    `null`,
    `{"id":9,"method":"upper","params":"x"}`,
    `\xff`,
    ``,
    `{"id":"last","method":"upper","params":["z"]}`,
  ];
  const bytes = Uint8Array.from(requests.join("\n") + "\n", (character) => character.charCodeAt(0));
  const answers = await tcpExchange(await server.port(), bytes);
  const badJson = {
    id: null,
    error: { code: "BAD_JSON", message: "The line is no JSON object in UTF-8" },
  };
  const noMethod = {
    id: null,
    error: { code: "NO_SUCH_METHOD", message: "There are add, upper, time" },
  };
  assertEquals(answers.split("\n").slice(0, -1).map((line) => JSON.parse(line)), [
    { id: 7, result: 3 },
    badJson,
    noMethod,
    badJson,
    { id: 9, error: { code: "BAD_PARAMS", message: '"params" must be an array' } },
    badJson,
    badJson,
    { id: "last", result: ["Z"] },
  ]);
});

Deno.test("json_lines_server ends a connection whose line is too long, and serves others on", async () => {
  await using server = new Program("examples/json_lines_server.ts", ["0"]);
  const port = await server.port();
  assertEquals(await tcpExchange(port, new Uint8Array(65 * 1024).fill(97)), "");
  const { stdout } = await runProgram("examples/json_lines_client.ts", [`${port}`, "add", "1"]);
  assertEquals(stdout, "1\n");
});
