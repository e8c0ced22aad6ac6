// Help: the text of `--help`, made from what a command declares, at most 80 columns wide.
import type { Command } from "./command/command.ts";

/** Widest line. */
const COLUMNS = 80;
/** Columns of the names of options and commands, where the longest is no shorter. */
const NAME_COLUMNS = 26;

/** Text of `--help` for a command that is typed as `typed`, such as `parley cert ca`. */
export function helpText(typed: string, command: Command): string {
  const flags = [...(command.flags ?? []).filter((flag) => flag.hidden !== true), {
    name: "help",
    about: "Show this text",
  }];
  const rest = command.rest === undefined ? undefined : `[-- ${command.rest}]`;
  const usage = command.commands === undefined
    ? [typed, "[OPTIONS]", command.operands, rest].filter((part) => (part ?? "") !== "").join(" ")
    : `${typed} COMMAND [OPTIONS]`;
  const parts = [
    wrap(`Usage: ${usage}`, 9),
    ...command.about.split(/\n\s*\n/).map((part) => wrap(part.trim(), 0)),
  ];
  if (command.commands !== undefined) {
    parts.push(list("Commands", command.commands.map(({ name, summary }) => [name, summary])));
  }
  parts.push(list("Options", flags.map((flag) => [flagName(flag), flag.about])));
  const title = command.examples.length === 1 ? "Example" : "Examples";
  parts.push(`${title}:\n${command.examples.map((line) => `  ${line}`).join("\n")}`);
  return parts.join("\n\n");
}

/** A titled list of names and what they mean. */
export function list(
  title: string,
  rows: readonly (readonly [name: string, about: string])[],
): string {
  const longest = Math.max(...rows.map(([name]) => name.length));
  const width = Math.min(longest, NAME_COLUMNS) + 4;
  const lines = rows.map(([name, about]) => {
    const head = `  ${name}`;
    const text = wrap(`${" ".repeat(width)}${about}`, width);
    return head.length + 2 > width ? `${head}\n${text}` : head.padEnd(width) + text.slice(width);
  });
  return `${title}:\n${lines.join("\n")}`;
}

function flagName(
  { name, value }: { readonly name: string; readonly value?: string | undefined },
): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}

/** Wraps at spaces; lines after the first start with `indent` spaces. */
function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = /^ */.exec(text)?.[0] ?? "";
  let empty = true;
  for (const word of text.trim().split(/\s+/)) {
    if (!empty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = " ".repeat(indent);
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].join("\n");
}
