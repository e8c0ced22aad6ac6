type Names = string | readonly string[];
type NameOf<T> = T extends readonly (infer N extends string)[] ? N : T extends string ? T : never;

/** The type of one flag given what was said about it. */
type Flag<Value, Name, Collected, Defaulted> = Name extends Collected ? Value[]
  : Name extends Defaulted ? Value
  : Value | undefined;

/** Parsed arguments: the declared flags with their types, any other flag, and the rest in `_`. */
export type Args<
  Booleans extends string = never,
  Strings extends string = never,
  Collected extends string = never,
  Defaults = Record<never, never>,
> =
  & { [N in Booleans]: N extends Collected ? boolean[] : boolean }
  & { [N in Strings]: Flag<string, N, Collected, keyof Defaults> }
  & { [N in Exclude<keyof Defaults, Booleans | Strings>]: Defaults[N] }
  // deno-lint-ignore no-explicit-any
  & { [flag: string]: any; _: Array<string | number> };

/** Options for {@linkcode parseArgs}. */
export interface ParseOptions<
  Booleans extends Names = Names,
  Strings extends Names = Names,
  Collected extends Names = Names,
  Defaults extends Record<string, unknown> = Record<string, unknown>,
> {
  /** Other names of flags. */
  alias?: Record<string, string | readonly string[]>;
  /** Flags that take no value. */
  boolean?: Booleans;
  /** Flags whose value is never taken for a number. */
  string?: Strings;
  /** Flags that may be given several times. */
  collect?: Collected;
  /** Flags that `--no-` turns off. */
  negatable?: string | readonly string[];
  /** Values of flags that are not given. */
  default?: Defaults;
  /** Whether everything behind the first non-flag goes into `_`. @default {false} */
  stopEarly?: boolean;
  /** Whether what follows `--` is kept apart, in `"--"`. @default {false} */
  "--"?: boolean;
  /** Called with each argument that was not declared; `false` leaves it out of the result. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Parses command-line arguments. */
export function parseArgs<
  const Booleans extends Names = never,
  const Strings extends Names = never,
  const Collected extends Names = never,
  // deno-lint-ignore ban-types
  Defaults extends Record<string, unknown> = {},
>(
  args: readonly string[],
  options?: ParseOptions<Booleans, Strings, Collected, Defaults>,
): Args<NameOf<Booleans>, NameOf<Strings>, NameOf<Collected>, Defaults>;
