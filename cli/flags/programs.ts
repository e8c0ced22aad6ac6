// The program behind `--`: its limits, and its options.
import type { Logger } from "../../log/logger.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";
import { UsageError } from "../command/usage.ts";
import { findProgram } from "../commands/serve/find_program.ts";
import type { RunningThread } from "../commands/serve/leftovers.ts";
import { Programs } from "../commands/serve/programs.ts";

/** Options of a command that runs a program of the user; `byDefault` says its longest run in words. */
export function programFlags(byDefault: string): readonly Flag[] {
  return [
    {
      name: "program-timeout",
      value: "TIME",
      about: `Longest run of a program; 0s is no limit (default: ${byDefault})`,
    },
    {
      name: "max-programs",
      value: "COUNT",
      about: "Programs at a time; more have to wait (default: 64)",
    },
  ];
}

/** What {@linkcode programOf} needs beside the arguments. */
export interface ProgramDefaults {
  /** Longest run in ms unless another one is typed; 0 is no limit. */
  readonly timeoutMs: number;
  /** What ends the last message that it writes where nothing does. @default {nothing} */
  readonly lastEnd?: Uint8Array | undefined;
  /** Takes what it writes to standard error. */
  readonly logger: Logger;
  /** Where programs run, when they run in several threads. @default {in this thread alone} */
  readonly thread?: RunningThread | undefined;
}

/**
 * The program that was typed behind `--`, and its longest run in ms; `undefined` when there is none.
 *
 * @param others Further options that make sense with a program only
 * @throws {UsageError} when options of a program were typed without one
 * @throws {Deno.errors.NotFound} when there is no such program
 */
export async function programOf(
  args: Arguments,
  { timeoutMs: byDefault, lastEnd, logger, thread }: ProgramDefaults,
  others: readonly string[] = [],
): Promise<{ readonly programs: Programs; readonly timeoutMs: number } | undefined> {
  if (args.rest === undefined) {
    const useless = [...others, "program-timeout", "max-programs"].find((name) =>
      args.text(name) !== undefined
    );
    if (useless === undefined) return undefined;
    throw new UsageError(`Option "--${useless}" needs a program: -- PROGRAM [ARGUMENT...]`);
  }
  const [name, ...rest] = args.rest;
  if (name === undefined) throw new UsageError("The program behind -- is missing");
  const maxPrograms = args.count("max-programs", { byDefault: 64, least: 1, most: 10_000 });
  const timeoutMs = args.ms("program-timeout", { byDefault, most: 2 ** 31 - 1 });
  const command = await findProgram(name);
  return {
    programs: new Programs({ command, args: rest, lastEnd, maxPrograms, logger, thread }),
    timeoutMs,
  };
}
