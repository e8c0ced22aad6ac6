// Tests of parley completions: bash's in a real bash, the others by their text.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Command } from "../../../cli/command/command.ts";
import { PARLEY } from "../../../cli/commands.ts";
import { bashCompletions } from "../../../cli/commands/completions/bash.ts";
import { fishCompletions } from "../../../cli/commands/completions/fish.ts";
import { entriesOf } from "../../../cli/commands/completions/tree.ts";
import { zshCompletions } from "../../../cli/commands/completions/zsh.ts";
import { PARLEY_MAIN } from "../../support/programs/parley_program.ts";
import { runProgram } from "../../support/programs/program.ts";
import { TempDir } from "../../support/programs/temp_dir.ts";

const entries = entriesOf(PARLEY);
const bash = has("bash");

function has(shell: string): boolean {
  try {
    return new Deno.Command(shell, { args: ["-c", "exit 0"] }).outputSync().success;
  } catch {
    return false;
  }
}

/** What bash offers behind each line, one word a line, with `==` behind each answer. */
const ASK = `
source "$1"; shift
complete -p parley
for line in "$@"; do
  eval "COMP_WORDS=($line)"
  [[ $line == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  _parley
  echo "=="
  for word in "\${COMPREPLY[@]}"; do echo "$word"; done
done`;

Deno.test({
  name: `parley completions bash completes commands, options, values and files${
    bash ? "" : " (bash is missing)"
  }`,
  ignore: !bash,
  async fn() {
    await using folder = new TempDir();
    await Deno.writeTextFile(`${folder.path}/a file.pem`, "");
    await Deno.writeTextFile(`${folder.path}/script`, bashCompletions(entries));
    const names = PARLEY.commands!.map(({ name }) => name);
    const cases: [string, string[]][] = [
      ["parley ", names],
      ["parley se", ["serve"]],
      ["parley cert s", ["server", "show"]],
      ["parley cert ", ["ca", "server", "client", "show"]],
      ["parley completions ", ["bash", "zsh", "fish"]],
      ["parley cert show --k", ["--key"]],
      ["parley serve --per ", ["message", "connection"]],
      ["parley serve --framing '=' u1", ["u16", "u16le"]],
      ["parley serve --cert a", ["a file.pem"]],
      ["parley cert show a", ["a file.pem"]],
      ["parley serve --max-connections ", []],
      ["parley connect 5555 --kee", ["--keep-open"]],
      ["parley serve 5555 -- bas", ["bash"]],
      ["parley demo --pa", []],
      ["parley keygen token --he", ["--help"]],
    ];
    const { success, stdout, stderr } = await new Deno.Command("bash", {
      args: ["--norc", "-c", ASK, "bash", "./script", ...cases.map(([line]) => line)],
      cwd: folder.path,
    }).output();
    const text = new TextDecoder().decode(stdout);
    assert(success, new TextDecoder().decode(stderr));
    const [registered, ...answers] = text.split("==\n").map((part) =>
      part.split("\n").filter((line) => line !== "")
    );
    assertEquals(registered, ["complete -F _parley parley"]);
    for (const [i, [line, wanted]] of cases.entries()) {
      const got = answers[i]!.filter((word) =>
        line !== "parley serve 5555 -- bas" || word === "bash"
      );
      assertEquals([...new Set(got)], wanted, line);
    }
  },
});

Deno.test("parley completions know every command, visible option and choice, in every shell", () => {
  const scripts = [bashCompletions(entries), zshCompletions(entries), fishCompletions(entries)];
  const visit = (command: Command) => {
    for (const flag of command.flags ?? []) {
      for (const script of scripts) {
        const dashed = script.includes(`--${flag.name}`) || script.includes(`-l ${flag.name} `);
        assertEquals(dashed, flag.hidden !== true, `${command.name} --${flag.name}`);
      }
    }
    for (const inner of command.commands ?? []) {
      for (const script of scripts) assertStringIncludes(script, inner.name);
      visit(inner);
    }
  };
  visit(PARLEY);
});

Deno.test("zsh and fish completions quote what people may write into a summary", () => {
  const command: Command = {
    name: "parley",
    summary: "",
    about: "",
    examples: [],
    commands: [{
      name: "x",
      summary: "It's $HOME \\ `x`",
      about: "",
      examples: [],
      operands: "FILE",
    }],
  };
  const [zsh, fish] = [zshCompletions(entriesOf(command)), fishCompletions(entriesOf(command))];
  assertStringIncludes(zsh, "'x:It'\\''s $HOME \\ `x`'");
  assertStringIncludes(fish, "-a 'x' -d 'It\\'s $HOME \\\\ `x`'");
});

Deno.test("parley completions prints the script for a shell, and refuses shells it does not know", async () => {
  const [fish, other, none] = await Promise.all([
    runProgram(PARLEY_MAIN, ["completions", "fish"]),
    runProgram(PARLEY_MAIN, ["completions", "tcsh"]),
    runProgram(PARLEY_MAIN, ["completions"]),
  ]);
  assertEquals(fish, { code: 0, stdout: fishCompletions(entries), stderr: "" });
  assertEquals([other.code, none.code], [2, 2]);
  assertMatch(other.stderr, /The shell is one of bash, zsh, fish, not "tcsh"/);
});
