// All commands of `parley`, from which dispatch, help and completions follow.
import type { Command } from "./command/command.ts";
import { benchCommand } from "./commands/bench.ts";
import { callCommand } from "./commands/call.ts";
import { certCommand } from "./commands/cert.ts";
import { completionsCommand } from "./commands/completions.ts";
import { connectCommand } from "./commands/connect.ts";
import { demoCommand } from "./commands/demo.ts";
import { exposeCommand } from "./commands/expose.ts";
import { forwardCommand } from "./commands/forward.ts";
import { hubCommand } from "./commands/hub.ts";
import { ipcCommand } from "./commands/ipc.ts";
import { keygenCommand } from "./commands/keygen.ts";
import { serveCommand } from "./commands/serve.ts";
import { topCommand } from "./commands/top.ts";

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
    callCommand,
    certCommand,
    keygenCommand,
    benchCommand,
    topCommand,
    completionsCommand(() => PARLEY),
  ],
};
