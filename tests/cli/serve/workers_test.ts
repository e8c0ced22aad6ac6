// Tests of parley serve --workers, as a process with real clients.
import { assert, assertEquals } from "@std/assert";
import { connect } from "../../../client.ts";
import { delimited } from "../../../framing.ts";
import { isAlive, untilGone } from "../../support/programs/alive.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { Program, runProgram } from "../../support/programs/program.ts";

const onLinux = Deno.build.os === "linux";
const framing = delimited("\n");
const CLIENTS = 12;

Deno.test({
  name: "parley serve --workers runs a program in every thread, and is one server to its owner",
  ignore: !onLinux,
  async fn() {
    await using server = new Program(PARLEY_MAIN, [
      ...["serve", "0", "--workers", "2", "--json", "--stats", "0"],
      ...["--", "tr", "a-z", "A-Z"],
    ]);
    const port = Number((await server.said(/^listening on .*:(\d+)$/m))[1]);
    const [, page] = await server.said(/^statistics on (http:.*)$/m);
    assertEquals(await (await fetch(`${page}readyz`)).text(), "ready\n");
    await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => {
      await using conn = await connect({ port, framing });
      await conn.send(`hello ${i}`);
      assertEquals(new TextDecoder().decode((await conn.receive())!), `HELLO ${i}`);
    }));
    server.kill("SIGINT");
    const { code, stdout, stderr } = await server.finish();
    assertEquals(code, 0, stderr);
    const summary = JSON.parse(stdout.trim().split("\n").at(-1)!);
    assertEquals(summary.event, "summary");
    assertEquals(
      [summary.connectionsOpened, summary.messagesIn, summary.messagesOut],
      [CLIENTS, CLIENTS, CLIENTS],
    );
  },
});

Deno.test({
  name: "parley serve --workers says why it cannot",
  ignore: !onLinux,
  async fn() {
    const cases: ReadonlyArray<readonly [args: string[], told: string]> = [
      [["unix:/tmp/parley-never.sock", "--workers", "2"], "cannot share the unix socket"],
      [["0", "--workers", "0"], `Option "--workers" is between 1 and 1024, not 0`],
      [["0", "--workers", "2", "--per", "connection"], "needs a program"],
    ];
    for (const [args, told] of cases) {
      const { code, stderr } = await runProgram(PARLEY_MAIN, ["serve", ...args]);
      assertEquals(code, 2, stderr);
      assert(stderr.includes(told), stderr);
    }
  },
});

Deno.test({
  name: "parley serve --workers leaves no program behind when a second signal ends it",
  ignore: !onLinux,
  async fn() {
    await using server = new Program(PARLEY_MAIN, [
      ...["serve", "0", "--workers", "2", "--per", "connection"],
      ...["--", "sh", "-c", "echo $$; exec sleep 600"],
    ]);
    const port = Number((await server.said(/^listening on .*:(\d+)$/m))[1]);
    await using conn = await connect({ port, framing });
    const pid = Number(new TextDecoder().decode((await conn.receive())!));
    assert(isAlive(pid), "the program runs");
    server.kill("SIGINT");
    await server.said(/press Ctrl-C again/);
    server.kill("SIGINT");
    assertEquals((await server.finish()).code, 130);
    await untilGone("the program has ended", pid);
  },
});
