// All commands of `parley`, from which dispatch, help and completions follow.
import type { Command } from "./command.ts";
import { benchCommand } from "./bench.ts";
import { demoCommand } from "./demo.ts";
import { topCommand } from "./top.ts";

/** All of `parley`. */
export const PARLEY: Command = {
  name: "parley",
  summary: "Connections between processes that are theirs",
  about: "Connections between processes that are theirs.",
  examples: ["parley demo"],
  commands: [demoCommand, benchCommand, topCommand],
};
