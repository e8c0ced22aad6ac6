// Completions for fish.
import type { CommandEntry, Completion } from "./tree.ts";

/** The script that fish reads. */
export function fishCompletions(entries: readonly CommandEntry[]): string {
  const groups = entries.filter(({ path }) => path.includes(" "));
  return `# Completions of parley for fish; read by it with: parley completions fish | source
function __parley_at
    set -l at parley
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case ${groups.map(({ path }) => quote(path)).join(" ")}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end

complete -c parley -f
${entries.flatMap(linesOf).join("\n")}
`;
}

function linesOf({ path, options, commands, files, program }: CommandEntry): string[] {
  const start = `complete -c parley -n ${quote(`__parley_at "${path}"`)}`;
  return [
    ...commands.map(({ name, about }) => `${start} -a ${quote(name)} -d ${quote(about)}`),
    ...options.map(({ name, about, value }) =>
      `${start} -l ${name.slice(2)}${valueOf(value)} -d ${quote(about)}`
    ),
    ...files || program ? [`${start} -F`] : [],
  ];
}

function valueOf(value: Completion | null): string {
  if (value === null) return "";
  if (value.kind === "files") return " -r -F";
  return value.kind === "nothing" ? " -x" : ` -x -a ${quote(value.words.join(" "))}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
