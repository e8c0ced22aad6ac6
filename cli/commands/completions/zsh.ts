// Completions for zsh.
import type { CommandEntry, Completion } from "./tree.ts";

/** The script that zsh reads. */
export function zshCompletions(entries: readonly CommandEntry[]): string {
  const groups = entries.filter(({ path }) => path.includes(" "));
  const programs = entries.filter(({ program }) => program);
  return `#compdef parley
# Completions of parley for zsh; read by it with: source <(parley completions zsh)
_parley() {
  local at=parley behind= i
  local -a names
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${groups.map(({ path }) => quote(path)).join("|")}) at="$at \${words[i]}" ;;
    esac
    if [[ \${words[i]} == -- ]]; then behind=1; fi
  done
  if [[ -n $behind ]]; then
    case $at in
      ${programs.map(({ path }) => quote(path)).join("|") || "''"}) _command_names -e; _files ;;
      *) _files ;;
    esac
    return
  fi
  case "$at \${words[CURRENT-1]}" in
${entries.flatMap(valueCases).join("\n")}
  esac
  case $at in
${entries.map(wordCase).join("\n")}
  esac
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _parley "$@"; else compdef _parley parley; fi
`;
}

function valueCases({ path, options }: CommandEntry): string[] {
  return options.flatMap(({ name, value }) =>
    value === null ? [] : [`    ${quote(`${path} ${name}`)}) ${actionOf(value)}return ;;`]
  );
}

function actionOf(value: Completion): string {
  if (value.kind === "nothing") return "";
  return value.kind === "files" ? "_files; " : `compadd -- ${value.words.map(quote).join(" ")}; `;
}

function wordCase({ path, options, commands, files }: CommandEntry): string {
  const described = (entries: readonly { readonly name: string; readonly about: string }[]) =>
    entries.map(({ name, about }) => `        ${quote(about === "" ? name : `${name}:${about}`)}`)
      .join("\n");
  const others = commands.length > 0
    ? `names=(\n${described(commands)}\n      ); _describe command names`
    : files
    ? "_files"
    : ":";
  return `    ${quote(path)})
      if [[ $PREFIX == -* ]]; then names=(\n${
    described(options)
  }\n      ); _describe -o option names
      else ${others}
      fi ;;`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
