// parley completions: what a shell needs to complete the commands of parley, made from what they declare.
import type { Command } from "../command/command.ts";
import { UsageError } from "../command/usage.ts";
import { bashCompletions } from "./completions/bash.ts";
import { fishCompletions } from "./completions/fish.ts";
import { type CommandEntry, entriesOf } from "./completions/tree.ts";
import { zshCompletions } from "./completions/zsh.ts";
import { print } from "../output/talk.ts";

const SHELLS: Readonly<Record<string, (entries: readonly CommandEntry[]) => string>> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
};

/** `parley completions`, for the tree that `root` returns. */
export function completionsCommand(root: () => Command): Command {
  return {
    name: "completions",
    summary: "Print completions for bash, zsh or fish",
    about: `Prints a script that lets a shell complete the commands, options and values of parley.

      bash: add the line of the example to ~/.bashrc. zsh: the same with zsh, to ~/.zshrc behind compinit. fish: write it
      to ~/.config/fish/completions/parley.fish.`,
    operands: "bash|zsh|fish",
    examples: ["parley completions bash > ~/.parley.bash && source ~/.parley.bash"],
    run(args) {
      const shell = args.operand("The shell");
      if (!Object.hasOwn(SHELLS, shell)) {
        throw new UsageError(
          `The shell is one of ${Object.keys(SHELLS).join(", ")}, not "${shell}"`,
        );
      }
      print(SHELLS[shell]!(entriesOf(root())).trimEnd());
      return Promise.resolve(0);
    },
  };
}
