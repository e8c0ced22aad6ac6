// The example of workers: a server of several threads, and the client of the echo example.
import { assertEquals } from "@std/assert";
import { file, Program, runProgram } from "../support/programs/program.ts";

Deno.test({
  name: "echo_client gets every line back from workers_server, whose threads count together",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // It loads examples/workers_handler.ts in its threads.
    await using server = new Program("examples/workers_server.ts", ["0"]);
    const port = await server.port();
    const text = await Deno.readTextFile(file("LICENSE"));
    const clients = await Promise.all(
      Array.from(
        { length: 3 },
        () => runProgram("examples/echo_client.ts", [`${port}`], { stdin: text }),
      ),
    );
    for (const client of clients) {
      assertEquals(client, { code: 0, stdout: text, stderr: "" });
    }
    await server.printed(/^Hello .* from worker \d+$/m);
    const lines = text.trimEnd().split("\n").length;
    server.kill("SIGTERM");
    await server.printed(new RegExp(`^Served 3 connections, ${3 * lines} messages$`, "m"));
    assertEquals((await server.finish()).code, 0);
  },
});
