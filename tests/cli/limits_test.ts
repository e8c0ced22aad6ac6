// Tests of the limits of commands that listen: sources that are exempt, the delay before a drain,
// and what is said of them.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Arguments } from "../../cli/command/arguments.ts";
import { connectionLimits } from "../../cli/flags/limits.ts";
import { hubCommand } from "../../cli/commands/hub.ts";
import { serveCommand } from "../../cli/commands/serve.ts";
import { connect } from "../../client.ts";
import { delimited } from "../../framing.ts";
import { PARLEY_MAIN } from "../support/programs/parley_program.ts";
import { Program, runProgram } from "../support/programs/program.ts";

const framing = delimited("\n");
const noSignals = Deno.build.os === "windows";

Deno.test("parley serve and parley hub hand exempt sources and the delay of a drain on to the library", () => {
  for (const command of [serveCommand, hubCommand]) {
    const limits = (...typed: string[]) => connectionLimits(new Arguments(command, typed));
    assertEquals(limits(), {});
    assertEquals(
      limits("--exempt", "10.0.0.5", "--exempt", "2001:db8::/32", "--drain-delay", "5s"),
      {
        exemptSources: ["10.0.0.5", "2001:db8::/32"],
        drainDelayMs: 5000,
      },
    );
    assertEquals(limits("--drain-delay", "0s"), {});
  }
});

Deno.test("parley serve refuses a network that cannot be read, before it listens", async () => {
  const { code, stderr } = await runProgram(PARLEY_MAIN, ["serve", "0", "--exempt", "10.0.0.0/33"]);
  assertEquals(code, 2);
  assertMatch(
    stderr,
    /"exemptSources" must hold IPv4 networks.*current value is "10\.0\.0\.0\/33"/,
  );
});

Deno.test({
  name:
    "parley serve works on for --drain-delay after a signal, not ready any more; a second signal ends it",
  ignore: noSignals,
  async fn() {
    await using server = new Program(PARLEY_MAIN, [
      "serve",
      "0",
      "--stats",
      "0",
      "--drain-delay",
      "10m",
    ]);
    const [, page] = await server.said(/^statistics on (http:.*)$/m);
    const port = Number((await server.said(/^listening on .*:(\d+)$/m))[1]);
    server.kill("SIGTERM");
    await server.said(/not ready any more, ending in 600\.0 s/);
    const response = await fetch(`${page}readyz`);
    assertEquals([response.status, await response.text()], [
      503,
      'not ready\n"serve" is leaving\n',
    ]);
    const late = await connect({ port, framing });
    await late.send("still here");
    assertEquals(new TextDecoder().decode((await late.receive())!), "still here");
    server.kill("SIGTERM");
    assertEquals((await server.finish()).code, 130);
    await late.close().catch(() => {});
  },
});

Deno.test("parley serve warns of a peer that speaks something else, with its address, and once that it is full", async () => {
  await using server = new Program(PARLEY_MAIN, [
    "serve",
    "0",
    "--max-connections",
    "1",
    "--max-message",
    "8",
  ]);
  const port = Number((await server.said(/^listening on .*:(\d+)$/m))[1]);
  const held = await connect({ port, framing });
  await held.send("one");
  await held.receive();
  for (let count = 0; count < 3; count++) {
    const refused = await connect({ port, framing });
    assertEquals(await refused.receive().catch(() => null), null);
    await refused.close().catch(() => {});
  }
  await server.said(/WARN +A connection was refused.*server is full/);
  await held.send("far more than eight bytes");
  assertEquals(await held.receive().catch(() => null), null);
  await server.said(/WARN +A connection ended early.*peer=127\.0\.0\.1:\d+/);
  await held.close().catch(() => {});
  server.kill("SIGKILL");
  const { stderr } = await server.finish();
  assertEquals(stderr.match(/A connection was refused/g)?.length, 1, stderr);
  assert(!stderr.includes("    at "), stderr);
});
