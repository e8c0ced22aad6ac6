// Answers calls over the carrier that it is given, and reports what happens.
import { answer } from "@parley/parley/calls";
import { keptBytes } from "../../support/programs/heap.ts";
import { commands, tell } from "../../ipc/programs/tell.ts";
import { CARRIERS } from "./carriers/carriers.ts";
import { table } from "./contract.ts";
import { codeOf, makeHandlers } from "./handlers.ts";
import { openStreamsOf } from "./streams.ts";

const [name = "", place = "{}"] = Deno.args;
globalThis.addEventListener("unhandledrejection", ({ reason }) => {
  tell({ unhandled: codeOf(reason), text: String(reason) });
});
const { handlers, running } = makeHandlers(tell);
const half = await CARRIERS[name]!.answers(JSON.parse(place));
tell({ place: half.place });
const end = await half.end();
const stop = answer(end, table, handlers, {
  onError: (error) => tell({ failed: codeOf(error), text: String(error) }),
});
tell({ answering: true });
for await (const command of commands()) {
  switch (command) {
    case "running":
      tell({ running: running(), streams: openStreamsOf(end) });
      break;
    case "kept":
      tell({ kept: keptBytes() });
      break;
    case "stop":
      stop();
      tell({ stopped: true });
      break;
    case "abort":
      half.abort();
      break;
    case "shutdown":
      tell({ leaving: true });
      await half.shutdown().catch((error) => tell({ cut: codeOf(error) }));
      tell({ running: running(), gone: true });
      break;
  }
}
