// The echo example, as two processes.
import { assertEquals } from "@std/assert";
import { file, Program, runProgram } from "../support/programs/program.ts";

Deno.test("echo_client gets every line of a file back from echo_server, in order", async () => {
  await using server = new Program("examples/echo_server.ts", ["0"]);
  const port = await server.port();
  const text = await Deno.readTextFile(file("LICENSE"));

  const client = await runProgram("examples/echo_client.ts", [`${port}`], {
    stdin: text.repeat(50),
  });
  assertEquals(client.stderr, "");
  assertEquals(client.stdout, text.repeat(50));
  assertEquals(client.code, 0);
  await server.printed(/Goodbye/);
});

Deno.test("echo_client with nothing to say ends in order", async () => {
  await using server = new Program("examples/echo_server.ts", ["0"]);
  const client = await runProgram("examples/echo_client.ts", [`${await server.port()}`]);
  assertEquals(client, { code: 0, stdout: "", stderr: "" });
});
