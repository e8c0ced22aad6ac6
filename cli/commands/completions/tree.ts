// The command tree as completions need it: one entry for each command, with what may follow.
import type { Command } from "../../command/command.ts";
import type { Flag } from "../../command/syntax.ts";

/** What completes a value or an operand. */
export type Completion =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" }
  | { readonly kind: "nothing" };

/** An option, and what completes its value. */
export interface OptionEntry {
  /** With its dashes. */
  readonly name: string;
  readonly about: string;
  /** `null` when it takes no value. */
  readonly value: Completion | null;
}

/** One command. */
export interface CommandEntry {
  /** All words of it: `parley cert show`. */
  readonly path: string;
  readonly options: readonly OptionEntry[];
  /** Commands of a group, or the words that an operand may be. */
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  /** Whether operands are files. */
  readonly files: boolean;
  /** Whether a program may stand behind `--`. */
  readonly program: boolean;
}

const HELP: OptionEntry = { name: "--help", about: "Show its help", value: null };

/** All commands, each before those of its group. */
export function entriesOf(command: Command, path: string = command.name): CommandEntry[] {
  const { commands = [], flags = [], operands = "", rest } = command;
  const visible = flags.filter(({ hidden }) => hidden !== true);
  const own: CommandEntry = {
    path,
    options: [...visible.map(optionOf), HELP],
    commands: [
      ...commands.map(({ name, summary }) => ({ name, about: summary })),
      ...wordsOf(operands),
    ],
    files: /FILE|PATH|FOLDER/.test(operands),
    program: rest !== undefined,
  };
  return [own, ...commands.flatMap((inner) => entriesOf(inner, `${path} ${inner.name}`))];
}

/** The words of an operand such as `bash|zsh|fish`. */
function wordsOf(operands: string): { readonly name: string; readonly about: string }[] {
  if (!/^[a-z]+(?:\|[a-z]+)+$/.test(operands)) return [];
  return operands.split("|").map((name) => ({ name, about: "" }));
}

function optionOf({ name, about, value, choices }: Flag): OptionEntry {
  return {
    name: `--${name}`,
    about,
    value: value === undefined ? null : completionOf(value, choices),
  };
}

function completionOf(value: string, choices: readonly string[] | undefined): Completion {
  if (choices !== undefined) return { kind: "words", words: choices };
  return /FILE|PATH|FOLDER/.test(value) ? { kind: "files" } : { kind: "nothing" };
}
