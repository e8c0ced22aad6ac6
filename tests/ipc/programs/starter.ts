// Tries to be the server of a channel on a command, and reports how that went.
import { listenIpc } from "../../../ipc/mod.ts";
import { codeOf, commands, tell } from "./tell.ts";

const [path = ""] = Deno.args;
tell({ ready: true });
for await (const _line of commands()) {
  try {
    const server = await listenIpc({ name: "test", path, onQuery: () => `${Deno.pid}` });
    tell({ listening: server.status === "listening" });
  } catch (error) {
    tell({ refused: codeOf(error) });
  }
}
