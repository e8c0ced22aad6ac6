// Calls over the carrier that it is given, and waits for answers that do not come; the test kills
// it.
import { caller } from "@parley/parley/calls";
import { commands, tell } from "../../ipc/programs/tell.ts";
import { CARRIERS } from "./carriers/carriers.ts";
import { table } from "./contract.ts";

const [name = "", place = "{}"] = Deno.args;
const carrier = CARRIERS[name]!;
const half = await carrier.calls(JSON.parse(place));
tell({ place: half.place });
for await (const command of commands()) {
  if (command !== "call") continue;
  const remote = caller(await half.end(), table);
  remote.hangs("", { timeoutMs: Infinity }).catch(() => {});
  if (carrier.hasStreams) {
    remote.count({ id: "", to: null }).next().catch(() => {});
    remote.sum(endless()).catch(() => {});
  }
}

async function* endless(): AsyncGenerator<number> {
  yield 1;
  await new Promise(() => {});
}
