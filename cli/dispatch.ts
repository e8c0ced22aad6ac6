// Dispatch: finds the command that the arguments name, runs it, and turns how it ends into an exit code.
import { Arguments } from "./arguments.ts";
import { type Command, UsageError } from "./command.ts";
import { helpText } from "./help.ts";
import { sayFailure } from "./hints.ts";
import { print, say } from "./talk.ts";

/**
 * Runs a command, or the one of its group that is named; gives the exit code: 0 done, 1 failed, 2 wrong
 * usage.
 */
export async function dispatch(typed: string, command: Command, args: readonly string[]): Promise<number> {
  const inner = command.commands?.find(({ name }) => name === args[0]);
  if (inner !== undefined) return await dispatch(`${typed} ${inner.name}`, inner, args.slice(1));
  try {
    const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
    if (own.includes("--help") || own.includes("-h")) {
      print(helpText(typed, command));
      return 0;
    }
    if (command.run === undefined) {
      if (args[0] === undefined) throw new UsageError("A command is missing");
      throw new UsageError(`There is no command "${args[0]}"`);
    }
    return await command.run(new Arguments(command, args));
  } catch (error) {
    return tell(typed, error);
  }
}

/** Tells people what went wrong and what to do. */
function tell(typed: string, error: unknown): number {
  if (error instanceof UsageError) {
    say(`${typed}: ${error.message}`, "error");
    say(`Try "${typed} --help"`, "error");
    return 2;
  }
  sayFailure(typed, error);
  return 1;
}
