/**
 * The command line of Parley: `deno run -A jsr:@parley/parley/cli --help`, or `deno task parley` in a checkout.
 *
 * @module
 */
import { type Command, UsageError } from "./command.ts";
import { demoCommand } from "./demo.ts";
import { print, say } from "./talk.ts";
import { VERSION } from "./version.ts";

const COMMANDS: readonly Command[] = [demoCommand];

const HELP = `parley ${VERSION}: connections between processes that are theirs

Usage: parley COMMAND [OPTIONS]

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(8)} ${summary}`).join("\n")}

Options:
  --help      Show this text, or that of a command: parley demo --help
  --version   Show the version

Exit codes: 0 done, 1 failed, 2 wrong usage.
Results go to standard output, talk to standard error.`;

/** Runs the command that the arguments name; gives the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  try {
    if (name === "--help" || name === "-h" || name === "help") {
      print(HELP);
      return 0;
    }
    if (name === "--version" || name === "-V") {
      print(VERSION);
      return 0;
    }
    if (name === undefined) throw new UsageError("A command is missing");
    if (command === undefined) throw new UsageError(`There is no command "${name}"`);
    if (rest.includes("--help") || rest.includes("-h")) {
      print(command.help);
      return 0;
    }
    return await command.run(rest);
  } catch (error) {
    if (error instanceof UsageError) {
      say(`parley: ${error.message}`);
      say(`Try "parley ${command === undefined ? "" : `${command.name} `}--help"`);
      return 2;
    }
    say(`parley: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
