// What may be typed behind the name of a command.

/** One option of a command. */
export interface Flag {
  /** What is typed behind `--`. */
  readonly name: string;
  /** What stands for its value in help, such as `FILE`; a flag without one is on or off. */
  readonly value?: string | undefined;
  /** What it does, in one sentence without a full stop; its default in brackets. */
  readonly about: string;
  /** Whether it may be given more than once. @default {false} */
  readonly many?: boolean | undefined;
  /** Values that complete it, where there are few; the command checks them. */
  readonly choices?: readonly string[] | undefined;
  /** Whether help and completions leave it out. @default {false} */
  readonly hidden?: boolean | undefined;
}

/** The options and arguments that a command takes. */
export interface CommandSyntax {
  /** What stands for its arguments in help, such as `ADDRESS`. @default {none} */
  readonly operands?: string | undefined;
  /**
   * What may stand behind `--`, such as `PROGRAM [ARGUMENT...]`; without it, `--` only ends the options.
   *
   * @default {none}
   */
  readonly rest?: string | undefined;
  /** Its options, without `--help`. @default {none} */
  readonly flags?: readonly Flag[] | undefined;
}
