// Answers calls over the carriers that its input names, one after the other, and reports what happens.
import { answer } from "@parley/parley/calls";
import { keptBytes } from "../../support/programs/heap.ts";
import { commands, tell } from "../../ipc/programs/tell.ts";
import { type Answering, CARRIERS } from "./carriers/carriers.ts";
import { table } from "./contract.ts";
import { codeOf, makeHandlers } from "./handlers.ts";
import type { Half, Place } from "./place.ts";
import { openStreamsOf } from "./streams.ts";

/** A carrier that answers. */
interface Serving {
  readonly half: Half<Answering>;
  readonly end: Answering;
  readonly stop: () => void;
}

globalThis.addEventListener("unhandledrejection", ({ reason }) => {
  tell({ unhandled: codeOf(reason), text: String(reason) });
});
const { handlers, running } = makeHandlers(tell);

async function serve({ name, place }: { name: string; place: Place }): Promise<Serving> {
  const half = await CARRIERS[name]!.answers(place);
  tell({ place: half.place });
  const end = await half.end();
  const stop = answer(end, table, handlers, {
    onError: (error) => tell({ failed: codeOf(error), text: String(error) }),
  });
  tell({ answering: true });
  return { half, end, stop };
}

async function obey(command: string, { half, end, stop }: Serving): Promise<void> {
  switch (command) {
    case "running":
      return tell({ running: running(), streams: openStreamsOf(end) });
    case "kept":
      return tell({ kept: keptBytes() });
    case "stop":
      stop();
      return tell({ stopped: true });
    case "abort":
      return half.abort();
    case "end":
      half.abort();
      await half.ended();
      return tell({ ended: true });
    case "shutdown":
      tell({ leaving: true });
      await half.shutdown().catch((error) => tell({ cut: codeOf(error) }));
      return tell({ running: running(), gone: true });
  }
}

let serving: Serving | undefined;
for await (const command of commands()) {
  if (command.startsWith("{")) serving = await serve(JSON.parse(command));
  else await obey(command, serving!);
}
