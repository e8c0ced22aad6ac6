// Dispatch: finds the command that the arguments name, runs it, and turns how it ends into an exit code.
import { Arguments } from "./command/arguments.ts";
import type { Command } from "./command/command.ts";
import { UsageError } from "./command/usage.ts";
import { meantName } from "../options/names.ts";
import { helpText } from "./help.ts";
import { sayFailure } from "./output/hints.ts";
import { print, say } from "./output/talk.ts";

/**
 * Runs a command, or the one of its group that is named; returns the exit code: 0 done, 1 failed, 2 wrong
 * usage.
 */
export async function dispatch(
  typed: string,
  command: Command,
  args: readonly string[],
): Promise<number> {
  const inner = command.commands?.find(({ name }) => name === args[0]);
  if (inner !== undefined) return await dispatch(`${typed} ${inner.name}`, inner, args.slice(1));
  try {
    const [first] = args;
    if (command.run === undefined && first !== undefined && !first.startsWith("-")) {
      throw new UsageError(`There is no command "${first}"${commandHint(first, command)}`);
    }
    const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
    if (own.includes("--help") || own.includes("-h")) {
      print(helpText(typed, command));
      return 0;
    }
    if (command.run === undefined) {
      if (first === undefined || first === "--") throw new UsageError("A command is missing");
      const meant = meantName(
        first.replace(/^-+/, ""),
        typed.includes(" ") ? ["help"] : ["help", "version"],
      );
      throw new UsageError(
        `Unknown option "${first}"${meant === undefined ? "" : `: did you mean "--${meant}"?`}`,
      );
    }
    return await command.run(new Arguments(command, args));
  } catch (error) {
    return tell(typed, error);
  }
}

/** The command that was probably meant, or all that there are. */
function commandHint(given: string, { commands = [] }: Command): string {
  // One of a group, typed without the name of the group.
  const group = commands.find((command) => command.commands?.some(({ name }) => name === given));
  if (group !== undefined) return `: did you mean "${group.name} ${given}"?`;
  const names = commands.map(({ name }) => name);
  const meant = meantName(given, names);
  return meant === undefined ? `: there are ${names.join(", ")}` : `: did you mean "${meant}"?`;
}

/** Prints what went wrong and what to do. */
function tell(typed: string, error: unknown): number {
  if (error instanceof UsageError) {
    say(`${typed}: ${error.message}`, "error");
    say(`Try "${typed} --help"`, "error");
    return 2;
  }
  sayFailure(typed, error);
  return 1;
}
