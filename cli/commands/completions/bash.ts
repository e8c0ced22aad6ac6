// Completions for bash, 3.2 and later.
import type { CommandEntry, Completion } from "./tree.ts";

/** The script that bash reads. */
export function bashCompletions(entries: readonly CommandEntry[]): string {
  const groups = entries.filter(({ path }) => path.includes(" "));
  return `# Completions of parley for bash; read by it with: source <(parley completions bash)
_parley() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at=parley behind= i
  # bash takes --name=value apart
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${groups.map(({ path }) => `"${path}"`).join("|")}) at="$at \${COMP_WORDS[i]}" ;;
    esac
    if [[ \${COMP_WORDS[i]} == -- ]]; then behind=1; fi
  done
  COMPREPLY=()
  if [[ -n $behind ]]; then
    case $at in
      ${oneOf(entries.filter(({ program }) => program))}) _parley_files -c ;;
      *) _parley_files ;;
    esac
    return
  fi
  case "$at $prev" in
${entries.flatMap(valueCases).join("\n")}
  esac
  case $at in
${entries.map(wordCase).join("\n")}
  esac
}

_parley_words() {
  local IFS=$' \\t\\n'
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}

_parley_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f "$@" -- "$cur"))
}

complete -F _parley parley
`;
}

function oneOf(entries: readonly CommandEntry[]): string {
  return entries.map(({ path }) => `"${path}"`).join("|") || '""';
}

/** What follows options that take a value. */
function valueCases({ path, options }: CommandEntry): string[] {
  const byAction = new Map<string, string[]>();
  for (const { name, value } of options) {
    if (value === null) continue;
    const action = actionOf(value);
    byAction.set(action, [...byAction.get(action) ?? [], `"${path} ${name}"`]);
  }
  return [...byAction].map(([action, patterns]) => `    ${patterns.join("|")}) ${action}return ;;`);
}

function actionOf(value: Completion): string {
  if (value.kind === "nothing") return "";
  return value.kind === "files" ? "_parley_files; " : `_parley_words "${value.words.join(" ")}"; `;
}

/** What else may follow a command. */
function wordCase({ path, options, commands, files }: CommandEntry): string {
  const names = commands.map(({ name }) => name).join(" ");
  const others = commands.length > 0 ? `_parley_words "${names}"` : files ? "_parley_files" : ":";
  return `    "${path}")
      if [[ $cur == -* ]]; then _parley_words "${options.map(({ name }) => name).join(" ")}"
      else ${others}
      fi ;;`;
}
