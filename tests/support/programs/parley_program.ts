// parleyProgram: how tests run the command line; from its source, or as the one program that `deno
// task compile` makes.
import { fileURLToPath } from "node:url";

/** A command, and the arguments that come before those of the command line. */
export interface ParleyProgram {
  readonly command: string;
  readonly args: readonly string[];
}

/** Where the command line starts, seen from the root of the project. */
export const PARLEY_MAIN = "cli/main.ts";

const ROOT = new URL("../../../", import.meta.url);

/**
 * The command line of Parley: `PARLEY_BIN` names a program to test instead of the source. The
 * source runs with the permissions that the program has. Flags for Deno itself are left out where
 * there is no Deno to take them.
 */
export function parleyProgram(flags: readonly string[] = []): ParleyProgram {
  const program = Deno.env.get("PARLEY_BIN");
  if (program !== undefined && program !== "") return { command: program, args: [] };
  const path = (name: string) => fileURLToPath(new URL(name, ROOT));
  const args = ["run", "--quiet", "--no-prompt", ...compiledPermissions(), ...flags];
  return {
    command: Deno.execPath(),
    args: [...args, "--config", path("deno.json"), path(PARLEY_MAIN)],
  };
}

/** What `deno task compile` lets the program do. */
function compiledPermissions(): string[] {
  const { tasks }: { tasks: { compile: { command: string } } } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  );
  return tasks.compile.command.match(/--(?:allow|deny|ignore)-\S+/g) ?? [];
}
