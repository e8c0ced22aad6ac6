// Command: what each command of the command line is, and what its arguments can be wrong with.
import { parseArgs } from "@std/cli/parse-args";

/** One command of `parley`. */
export interface Command {
  /** What is typed for it. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Text of `--help`, at most 80 columns wide. */
  readonly help: string;
  /** Does it; gives the exit code: 0 done, 1 failed. */
  run(args: readonly string[]): Promise<number>;
}

/** The arguments make no sense: exit code 2, and a hint. */
export class UsageError extends Error {
  /** Makes an error from what is wrong with the arguments. */
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** Flags of one command by name. */
export interface FlagNames<Booleans extends string, Strings extends string> {
  /** Flags without a value. */
  readonly boolean: readonly Booleans[];
  /** Flags with one. */
  readonly string: readonly Strings[];
}

/** What was given on the command line. */
export type Flags<Booleans extends string, Strings extends string> =
  & Readonly<Record<Booleans, boolean>>
  & Readonly<Record<Strings, string | undefined>>
  & { readonly rest: readonly string[] };

/**
 * Parses flags; what is not a flag of the command is an error and not silently left out.
 *
 * @throws {UsageError} when a flag is unknown, or has no value where it needs one
 */
export function parseFlags<Booleans extends string, Strings extends string>(
  args: readonly string[],
  names: FlagNames<Booleans, Strings>,
): Flags<Booleans, Strings> {
  const parsed = parseArgs([...args], {
    boolean: names.boolean,
    string: [...names.string, "_"],
    unknown: (arg: string) => {
      if (/^-./.test(arg)) throw new UsageError(`Unknown option "${arg}"`);
    },
  }) as Record<string, unknown>;
  for (const name of names.string) {
    if (parsed[name] === "") throw new UsageError(`Option "--${name}" needs a value`);
    if (Array.isArray(parsed[name])) throw new UsageError(`Option "--${name}" was given more than once`);
  }
  const rest = (parsed._ as Array<string | number>).map(String);
  return { ...parsed, rest } as unknown as Flags<Booleans, Strings>;
}
