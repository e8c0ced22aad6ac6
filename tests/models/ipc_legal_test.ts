// Processes that listen, connect and pair over IPC, come and go, rest, restart and are killed:
// nothing legal is cut, and nothing is lost untold.
import { assert } from "@std/assert";
import { type IpcTally, newIpcTally, simulateIpc } from "../support/models/model_ipc.ts";
import { IPC_SCENES } from "../support/models/scenes/model_ipc_scenes.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";

const RUNS: Readonly<Record<keyof typeof IPC_SCENES, { seeds: number; least: Partial<IpcTally> }>> =
  {
    talk: { seeds: 200, least: { messages: 4000, answers: 1500, streams: 500, links: 600 } },
    restarts: { seeds: 150, least: { messages: 2000, links: 500 } },
    crashes: { seeds: 200, least: { messages: 2500, links: 700, losses: 100, kills: 120 } },
    pairs: { seeds: 150, least: { messages: 4000, answers: 1500, streams: 500, links: 450 } },
    takeovers: { seeds: 200, least: { messages: 5000, links: 600, losses: 100, kills: 150 } },
    pauses: { seeds: 100, least: { messages: 1000, links: 200 } },
  };

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`listenIpc(), connectIpc() and pairIpc() serve legal programs: ${name}`, async () => {
    const tally = newIpcTally();
    const test = {
      file: "tests/models/ipc_legal_test.ts",
      filter: `serve legal programs: ${name}`,
      seeds,
    };
    const scene = IPC_SCENES[name as keyof typeof IPC_SCENES];
    await modelSeeds(test, (random) => simulateIpc(random, scene(random), tally));
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(tally[key as keyof IpcTally] >= value, `${key} is too low: ${JSON.stringify(tally)}`);
    }
  });
}
