// Command: what each command of the command line declares, from which help, parsing and completions follow.
import type { Arguments } from "./arguments.ts";
import type { CommandSyntax } from "./syntax.ts";

/** One command of `parley`: one that does something, or a group of such. */
export interface Command extends CommandSyntax {
  /** What is typed for it. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What it does, for its help; lines are wrapped there. */
  readonly about: string;
  /** Lines to try, each starting with `parley`. */
  readonly examples: readonly string[];
  /** Commands of a group. */
  readonly commands?: readonly Command[] | undefined;
  /** Runs the command; returns the exit code: 0 done, 1 failed. Absent for a group. */
  run?(args: Arguments): Promise<number>;
}
