// Tests of the command line as a whole: help, version and wrong usage.
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Command } from "../../cli/command/command.ts";
import { PARLEY } from "../../cli/commands.ts";
import { demoCommand } from "../../cli/commands/demo.ts";
import { helpText } from "../../cli/help.ts";
import { VERSION } from "../../cli/main.ts";
import { file, runProgram } from "../support/programs/program.ts";

const MAIN = "cli/main.ts";

Deno.test("parley --version tells the version of deno.json on standard output", async () => {
  const config = JSON.parse(await Deno.readTextFile(file("deno.json")));
  assertEquals(VERSION, config.version);
  assertEquals(await runProgram(MAIN, ["--version"]), {
    code: 0,
    stdout: `${VERSION}\n`,
    stderr: "",
  });
});

Deno.test("parley --help names every command", async () => {
  const { code, stdout, stderr } = await runProgram(MAIN, ["--help"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const names = [...stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map((match) => match[1]!);
  assertEquals(names, PARLEY.commands?.map(({ name }) => name));
  for (const line of stdout.split("\n")) assert(line.length <= 80, `Too wide: ${line}`);
});

Deno.test("parley demo --help is what the command declares", async () => {
  const help = await runProgram(MAIN, ["demo", "--help"]);
  assertEquals(help, { code: 0, stdout: `${helpText("parley demo", demoCommand)}\n`, stderr: "" });
});

for (const [typed, command] of everyCommand("parley", PARLEY)) {
  Deno.test(`${typed} --help fits 80 columns and has an example`, () => {
    const text = helpText(typed, command);
    assertMatch(text, /^Usage: parley/);
    assertMatch(text, /\nExamples?:\n {2}parley /);
    for (const line of text.split("\n")) assert(line.length <= 80, `Too wide: ${line}`);
  });
}

function* everyCommand(typed: string, command: Command): Generator<[string, Command]> {
  yield [typed, command];
  for (const inner of command.commands ?? []) yield* everyCommand(`${typed} ${inner.name}`, inner);
}

Deno.test("parley ends with 2 and a hint for what it does not know", async () => {
  const cases: [string[], string][] = [
    [[], `parley: A command is missing\nTry "parley --help"\n`],
    [["dmeo"], `parley: There is no command "dmeo": did you mean "demo"?\nTry "parley --help"\n`],
    [
      ["listen"],
      `parley: There is no command "listen": did you mean "ipc listen"?\nTry "parley --help"\n`,
    ],
    [
      ["dmeo", "--help"],
      `parley: There is no command "dmeo": did you mean "demo"?\nTry "parley --help"\n`,
    ],
    [
      ["ipc", "quary"],
      `parley ipc: There is no command "quary": did you mean "query"?\nTry "parley ipc --help"\n`,
    ],
    [
      ["ipc", "zzzzzz"],
      `parley ipc: There is no command "zzzzzz": there are listen, send, query, call\nTry "parley ipc --help"\n`,
    ],
    [
      ["--verion"],
      `parley: Unknown option "--verion": did you mean "--version"?\nTry "parley --help"\n`,
    ],
    [["demo", "--swiftly"], `parley demo: Unknown option "--swiftly"\nTry "parley demo --help"\n`],
    [
      ["serve", "--framming=lines"],
      `parley serve: Unknown option "--framming=lines": did you mean "--framing"?\nTry "parley serve --help"\n`,
    ],
    [["demo", "--text"], `parley demo: Option "--text" needs a value\nTry "parley demo --help"\n`],
    [["demo", "now"], `parley demo: Unexpected argument "now"\nTry "parley demo --help"\n`],
  ];
  await Promise.all(cases.map(async ([args, stderr]) => {
    assertEquals(await runProgram(MAIN, args), { code: 2, stdout: "", stderr });
  }));
});

Deno.test("parley help COMMAND is the same as its --help", async () => {
  const [help, flag] = await Promise.all(
    [["help", "cert", "ca"], ["cert", "ca", "--help"]].map((args) => runProgram(MAIN, args)),
  );
  assertEquals(help, flag);
  assertEquals(help!.code, 0);
});
