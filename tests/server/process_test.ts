// Servers as processes of their own: one that ends when nothing else keeps it, and workers that share a port.
import { assert, assertEquals } from "@std/assert";
import { connect } from "@parley/parley";
import { Program, runProgram } from "../support/programs/program.ts";
import { ask, lines } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

Deno.test("Server.unref() lets the process end, ref() keeps it", async () => {
  const run = (how: string) => runProgram("tests/server/unref_program.ts", [how]);
  const [before, after, withConnection] = await Promise.all([
    run("before"),
    run("after"),
    run("connection"),
  ]);
  assertEquals([before.code, before.stdout.includes("listening"), before.stderr], [0, true, ""]);
  assertEquals([after.code, after.stdout.includes("listening"), after.stderr], [0, true, ""]);
  assertEquals([withConnection.code, withConnection.stdout, withConnection.stderr], [
    0,
    "listening\nanswered\n",
    "",
  ]);

  await using kept = new Program("tests/server/unref_program.ts", ["ref"]);
  const port = await kept.port();
  await using conn = await connect({ port, ...lines });
  assertEquals(await ask(conn, "one"), "one");
  kept.kill("SIGKILL");
});

for (const how of ["before", "after"]) {
  Deno.test(`Server.unref() ${how} a client has connected lets the process end although it stays connected`, async () => {
    await using program = new Program("tests/server/unref_program.ts", [`stranger ${how}`]);
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: await program.port() });
    await program.printed(/unreferenced/);
    const { code, stderr } = await settles("the process", program.finish());
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
  });
}

Deno.test({
  name: "serve() warns once that its limit was lowered for lack of descriptors (needs Linux)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const run = (maxDescriptors: number) =>
      runProgram("tests/server/unref_program.ts", ["before"], { maxDescriptors });
    const [few, enough] = await Promise.all([run(256), run(4096)]);
    assertEquals([few.code, enough.code, enough.stderr], [0, 0, ""]);
    assertEquals(few.stderr.trim().split("\n").length, 1, few.stderr);
    assert(
      /limited to 144 in place of 1000 .* 256 descriptors: raise that \(ulimit -n/.test(few.stderr),
      few.stderr,
    );
  },
});

Deno.test("A program that awaits a server whose port is taken ends with one report, of ten lines at most, that names the port", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  for (const how of ["ready", "finished"]) {
    const { code, stderr } = await runProgram("tests/server/taken_program.ts", [`${port}`, how]);
    const lines = stderr.trim().split("\n");
    assertEquals([code, stderr.split(": the address is in use").length - 1], [1, 1], stderr);
    assert(
      lines.length <= 10 && stderr.includes(`127.0.0.1:${port}`) &&
        stderr.includes("taken_program.ts:"),
      stderr,
    );
  }
  const { code, stderr } = await runProgram("tests/server/taken_program.ts", [
    `${port}`,
    "neither",
  ]);
  taken.close();
  assertEquals([code, stderr.trim().split("\n").length], [0, 1], stderr);
  assert(stderr.includes(`127.0.0.1:${port}`), stderr);
});

Deno.test({
  name: "serve({ reusePort: true }) lets two workers share a port" +
    (Deno.build.os === "linux" ? "" : " (ignored: only Linux spreads connections)"),
  ignore: Deno.build.os !== "linux",
  async fn() {
    const flags = ["--unstable-net"];
    await using first = new Program("tests/server/worker_program.ts", ["0"], { flags });
    const port = await first.port();
    await using second = new Program("tests/server/worker_program.ts", [`${port}`], { flags });
    assertEquals(await second.port(), port);
    const served = new Map<string, number>();
    await Promise.all(Array.from({ length: 60 }, async () => {
      await using conn = await connect({ port, ...lines });
      const pid = await ask(conn, "who");
      assert(pid !== null);
      served.set(pid, (served.get(pid) ?? 0) + 1);
    }));
    assertEquals(new Set(served.keys()), new Set([`${first.pid}`, `${second.pid}`]));
  },
});

Deno.test("Server.ready rejects for reusePort where Deno lacks its flag, instead of an end of the process", async () => {
  const { code, stderr } = await runProgram("tests/server/worker_program.ts", ["0"]);
  assertEquals(code, 1);
  assert(
    stderr.includes(`TypeError: Cannot listen: "reusePort" needs the flag --unstable-net of Deno`),
    stderr,
  );
});
