// Our typed calls over encrypted IPC.
import { answer, caller } from "../../../../calls/mod.ts";
import { connectIpc, listenIpc } from "../../../../ipc/mod.ts";
import type { Contestant } from "./contestant.ts";
import { handlers, race } from "./race_contract.ts";

/** The contestant. */
export const contestant: Contestant = {
  async serve(path) {
    answer(await listenIpc({ name: "race", path }), race, handlers);
    return path;
  },
  async dial(path) {
    const remote = caller(await connectIpc({ name: "race", path }), race);
    return (text) => remote.echo(text);
  },
};
