// Command: what each command of the command line declares, from which help, parsing and completions follow.
import type { Arguments } from "./arguments.ts";

/** One option of a command. */
export interface Flag {
  /** What is typed behind `--`. */
  readonly name: string;
  /** What stands for its value in help, such as `FILE`; a flag without one is on or off. */
  readonly value?: string;
  /** What it does, in one sentence without a full stop; its default in brackets. */
  readonly about: string;
  /** Whether it may be given more than once. @default {false} */
  readonly many?: boolean;
  /** Values that complete it, where there are few; the command checks them. */
  readonly choices?: readonly string[];
  /** Whether help and completions leave it out. @default {false} */
  readonly hidden?: boolean;
}

/** One command of `parley`: one that does something, or a group of such. */
export interface Command {
  /** What is typed for it. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What it does, for its help; lines are wrapped there. */
  readonly about: string;
  /** What stands for its arguments in help, such as `ADDRESS`. @default {none} */
  readonly operands?: string;
  /**
   * What may stand behind `--`, such as `PROGRAM [ARGUMENT...]`; without it, `--` only ends the options.
   *
   * @default {none}
   */
  readonly rest?: string;
  /** Its options, without `--help`. @default {none} */
  readonly flags?: readonly Flag[];
  /** Lines to try, each starting with `parley`. */
  readonly examples: readonly string[];
  /** Commands of a group. */
  readonly commands?: readonly Command[];
  /** Runs the command; returns the exit code: 0 done, 1 failed. Absent for a group. */
  run?(args: Arguments): Promise<number>;
}

/** The arguments make no sense: exit code 2, and a hint. */
export class UsageError extends Error {
  /** Makes an error from what is wrong with the arguments. */
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/**
 * Calls `make`, which does no I/O; what it finds wrong with its options is what was typed.
 *
 * @throws {UsageError} in place of a `TypeError` or `RangeError`
 */
export function asTyped<Result>(make: () => Result): Result {
  try {
    return make();
  } catch (error) {
    throw usageOf(error);
  }
}

/** An error of the library, as one of usage where it finds fault with the options that it was given. */
export function usageOf(error: unknown): unknown {
  return error instanceof TypeError || error instanceof RangeError ? new UsageError(error.message) : error;
}
