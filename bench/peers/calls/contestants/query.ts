// Our plain queries over encrypted IPC: bytes there, the same bytes back, no types.
import { connectIpc, listenIpc } from "../../../../ipc/mod.ts";
import type { Contestant } from "./contestant.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The contestant. */
export const contestant: Contestant = {
  async serve(path) {
    const server = await listenIpc({ name: "race", path, onQuery: (data) => data });
    void (async () => {
      for await (const _message of server);
    })();
    return path;
  },
  async dial(path) {
    const client = await connectIpc({ name: "race", path });
    return async (text) => decoder.decode(await client.query(encoder.encode(text)));
  },
};
