// Arguments: what was typed behind a command, checked against what it declares.
import { parseArgs } from "@std/cli/parse-args";
import { meantName } from "../../options/names.ts";
import type { CommandSyntax, Flag } from "./syntax.ts";
import { UsageError } from "./usage.ts";
import { parseBytes, parseCount, parseDuration } from "./quantities.ts";

/** How a number may look, and what it is when it is not given. */
export interface NumberRange {
  /** The value without the option. */
  readonly byDefault: number;
  /** Least value. @default {0} */
  readonly least?: number | undefined;
  /** Greatest value. @default {Number.MAX_SAFE_INTEGER} */
  readonly most?: number | undefined;
}

/** What was given to a command. */
export class Arguments {
  /** What was typed behind the name of the command, as it is. */
  readonly typed: readonly string[];
  /** What is no option, in order. */
  readonly operands: readonly string[];
  /** What stands behind `--`, for a command that declares it; `undefined` when there is no `--`. */
  readonly rest: readonly string[] | undefined;
  readonly #values: Readonly<Record<string, unknown>>;

  /**
   * Parses what stands behind the name of a command; what it does not declare is an error and not silently
   * left out.
   *
   * @throws {UsageError} when an option is unknown, has no value where it needs one, or is given too often
   */
  constructor(command: CommandSyntax, typed: readonly string[]) {
    this.typed = typed;
    const flags = command.flags ?? [];
    const withValue = flags.filter((flag) => flag.value !== undefined);
    this.#values = parseArgs([...typed], {
      boolean: flags.filter((flag) => flag.value === undefined).map((flag) => flag.name),
      string: [...withValue.map((flag) => flag.name), "_"],
      collect: withValue.map((flag) => flag.name),
      "--": true,
      unknown: (arg: string) => {
        if (/^-./.test(arg)) throw new UsageError(`Unknown option "${arg}"${flagHint(arg, flags)}`);
      },
    }) as Record<string, unknown>;
    for (const { name, many } of withValue) {
      const values = this.all(name);
      if (values.includes("")) throw new UsageError(`Option "--${name}" needs a value`);
      if (values.length > 1 && many !== true) {
        throw new UsageError(`Option "--${name}" was given more than once`);
      }
    }
    const behindDashes = (this.#values["--"] ?? []) as string[];
    const before = (this.#values["_"] as Array<string | number>).map(String);
    this.operands = command.rest === undefined ? [...before, ...behindDashes] : before;
    this.rest = command.rest === undefined || !typed.includes("--") ? undefined : behindDashes;
    if (command.operands === undefined && this.operands.length > 0) {
      throw new UsageError(`Unexpected argument "${this.operands[0]}"`);
    }
  }

  /** Whether an option without a value was given. */
  has(name: string): boolean {
    return this.#values[name] === true;
  }

  /** Value of an option; `undefined` when it was not given. */
  text(name: string): string | undefined {
    return this.all(name)[0];
  }

  /** Values of an option that may be given more than once. */
  all(name: string): readonly string[] {
    return (this.#values[name] as string[] | undefined) ?? [];
  }

  /** Value of an option that must be given. */
  needed(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw new UsageError(`Option "--${name}" is missing`);
    return value;
  }

  /** Value of an option that must be one of a few. */
  choice<Choice extends string>(
    name: string,
    choices: readonly Choice[],
    byDefault: Choice,
  ): Choice {
    const given = this.text(name) ?? byDefault;
    const choice = choices.find((candidate) => candidate === given);
    if (choice === undefined) {
      throw new UsageError(`Option "--${name}" is one of ${choices.join(", ")}, not "${given}"`);
    }
    return choice;
  }

  /** A whole number, such as `10000`. */
  count(name: string, range: NumberRange): number {
    return this.#number(name, range, parseCount, "a whole number");
  }

  /** A whole number, or `undefined` when it is not given. */
  optionalCount(name: string, range: Omit<NumberRange, "byDefault">): number | undefined {
    return this.text(name) === undefined ? undefined : this.count(name, { ...range, byDefault: 0 });
  }

  /** A number of bytes, such as `64KiB`. */
  bytes(name: string, range: NumberRange): number {
    return this.#number(name, range, parseBytes, "a number of bytes such as 4096, 64KiB or 1MiB");
  }

  /** A duration in ms, such as `500ms` or `10s`. */
  ms(name: string, range: NumberRange): number {
    return this.#number(name, range, parseDuration, "a duration such as 500ms, 10s or 5m");
  }

  /**
   * The one operand that a command wants.
   *
   * @throws {UsageError} when there is none, or more than one
   */
  operand(what: string): string {
    const only = this.optionalOperand();
    if (only === undefined) throw new UsageError(`${what} is missing`);
    return only;
  }

  /**
   * The operands that a command takes, by their names in help; one in brackets is "" when it is not given.
   *
   * @throws {UsageError} when one is missing, or there are more
   */
  someOperands<Names extends readonly string[]>(
    ...names: Names
  ): { readonly [Index in keyof Names]: string } {
    const missing = names.find((name, index) =>
      !name.startsWith("[") && (this.operands[index] ?? "") === ""
    );
    if (missing !== undefined) throw new UsageError(`${missing} is missing`);
    const more = this.operands[names.length];
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    return names.map((_, index) => this.operands[index] ?? "") as {
      [Index in keyof Names]: string;
    };
  }

  /**
   * The one operand that a command takes; `undefined` when there is none.
   *
   * @throws {UsageError} when there is more than one
   */
  optionalOperand(): string | undefined {
    const [first, second] = this.operands;
    if (second !== undefined) throw new UsageError(`Unexpected argument "${second}"`);
    return first;
  }

  #number(
    name: string,
    { byDefault, least = 0, most = Number.MAX_SAFE_INTEGER }: NumberRange,
    parse: (text: string) => number | null,
    wanted: string,
  ): number {
    const text = this.text(name);
    if (text === undefined) return byDefault;
    const value = parse(text);
    if (value === null) throw new UsageError(`Option "--${name}" is ${wanted}, not "${text}"`);
    if (value < least || value > most) {
      throw new UsageError(`Option "--${name}" is between ${least} and ${most}, not ${text}`);
    }
    return value;
  }
}

/** The option that was probably meant; "" where none resembles what was typed. */
function flagHint(typed: string, flags: readonly Flag[]): string {
  const names = ["help", ...flags.filter(({ hidden }) => hidden !== true).map(({ name }) => name)];
  const meant = meantName(typed.replace(/^-+/, "").replace(/=.*$/s, ""), names);
  return meant === undefined ? "" : `: did you mean "--${meant}"?`;
}
