// The login example: a login protocol survives a restart of its server, and a refused one ends the client.
import { assertEquals } from "@std/assert";
import { Program, runProgram } from "../support/programs/program.ts";

Deno.test({
  name: "login_client logs in first on each link, and goes on after a restart of login_server",
  ignore: Deno.build.os === "windows", // no SIGTERM there
  async fn() {
    const first = new Program("examples/login_server.ts", ["0"]);
    const port = `${await first.port()}`;
    await using client = new Program("examples/login_client.ts", [port], { keepStdin: true });
    await client.printed(/Logged in\n/);
    await client.type("one\n");
    await client.printed(/ann said: one\n/);
    first.kill("SIGTERM");
    assertEquals((await first.finish()).code, 0);
    // There is no server: the line waits for the next login.
    await client.type("two\n");
    await using second = new Program("examples/login_server.ts", [port]);
    await second.port();
    await client.printed(/Logged in again\n[^]*ann said: two\n/);
    client.kill("SIGTERM");
  },
});

Deno.test("login_client ends by a refused login, and says so", async () => {
  await using server = new Program("examples/login_server.ts", ["0"]);
  const args = [`${await server.port()}`, "ann", "guess"];
  const { code, stdout, stderr } = await runProgram("examples/login_client.ts", args);
  assertEquals([code, stdout, stderr], [1, "", "ERR_AUTH: The server refuses the login\n"]);
});
