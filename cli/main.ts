/**
 * The command line of Parley: `deno run -A jsr:@parley/parley/cli --help`, or `deno task parley` in a
 * checkout.
 *
 * @module
 */
import { PARLEY } from "./commands.ts";
import { dispatch } from "./dispatch.ts";
import { list } from "./help.ts";
import { print } from "./output/talk.ts";

/**
 * The version of the command line: as in deno.json, which a published module cannot read
 * everywhere; a test compares them.
 */
export const VERSION = "0.1.0";

const HELP = `parley ${VERSION}: messages and streams between processes

Usage: parley COMMAND [OPTIONS]

${list("Commands", (PARLEY.commands ?? []).map(({ name, summary }) => [name, summary]))}

${
  list("Options", [
    ["--help", "Show this text, or that of a command: parley demo --help"],
    ["--version", "Show the version"],
  ])
}

Exit codes: 0 done, 1 failed, 2 wrong usage.
Results go to standard output, talk to standard error.`;

/** Runs the command that the arguments name; returns the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  // "parley help serve" is "parley serve --help".
  if (first === "help" && rest.length > 0) {
    return await dispatch(PARLEY.name, PARLEY, [...rest, "--help"]);
  }
  if (first === "--help" || first === "-h" || first === "help") {
    print(HELP);
    return 0;
  }
  if (first === "--version" || first === "-V") {
    print(VERSION);
    return 0;
  }
  return await dispatch(PARLEY.name, PARLEY, args);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
