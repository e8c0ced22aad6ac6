// All commands of `parley`, from which dispatch, help and completions follow.
import type { Command } from "./command.ts";
import { benchCommand } from "./bench.ts";
import { certCommand } from "./cert.ts";
import { completionsCommand } from "./completions.ts";
import { connectCommand } from "./connect.ts";
import { demoCommand } from "./demo.ts";
import { exposeCommand } from "./expose.ts";
import { forwardCommand } from "./forward.ts";
import { hubCommand } from "./hub.ts";
import { ipcCommand } from "./ipc.ts";
import { keygenCommand } from "./keygen.ts";
import { serveCommand } from "./serve.ts";
import { topCommand } from "./top.ts";

/** All of `parley`. */
export const PARLEY: Command = {
  name: "parley",
  summary: "Messages and streams between processes",
  about: "Messages and streams between processes, from the shell.",
  examples: ["parley demo"],
  commands: [
    demoCommand,
    serveCommand,
    connectCommand,
    hubCommand,
    exposeCommand,
    forwardCommand,
    ipcCommand,
    certCommand,
    keygenCommand,
    benchCommand,
    topCommand,
    completionsCommand(() => PARLEY),
  ],
};
