import { assert, assertEquals, assertMatch } from "@std/assert";
import { VERSION } from "../../cli/version.ts";
import { file, runProgram } from "../support/program.ts";

const MAIN = "cli/main.ts";

Deno.test("parley --version tells the version of deno.json on standard output", async () => {
  const config = JSON.parse(await Deno.readTextFile(file("deno.json")));
  assertEquals(VERSION, config.version);
  assertEquals(await runProgram(MAIN, ["--version"]), { code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

Deno.test("parley --help names every command, and each --help fits 80 columns and has an example", async () => {
  const { code, stdout, stderr } = await runProgram(MAIN, ["--help"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map((match) => match[1]!);
  assert(commands.includes("demo"));
  for (const command of commands) {
    const help = await runProgram(MAIN, [command, "--help"]);
    assertEquals({ code: help.code, stderr: help.stderr }, { code: 0, stderr: "" });
    assertMatch(help.stdout, /^Usage: parley /);
    assertMatch(help.stdout, /\nExamples?:\n {2}parley /);
    for (const line of `${stdout}${help.stdout}`.split("\n")) assert(line.length <= 80, `Too wide: ${line}`);
  }
});

Deno.test("parley ends with 2 and a hint for what it does not know", async () => {
  const cases: [string[], string][] = [
    [[], `parley: A command is missing\nTry "parley --help"\n`],
    [["dmeo"], `parley: There is no command "dmeo"\nTry "parley --help"\n`],
    [["demo", "--fast"], `parley: Unknown option "--fast"\nTry "parley demo --help"\n`],
    [["demo", "--text"], `parley: Option "--text" needs a value\nTry "parley demo --help"\n`],
    [["demo", "now"], `parley: The demo takes no argument "now"\nTry "parley demo --help"\n`],
  ];
  for (const [args, stderr] of cases) {
    assertEquals(await runProgram(MAIN, args), { code: 2, stdout: "", stderr });
  }
});
