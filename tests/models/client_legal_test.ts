// Programs that keep a link up by Client, through restarts, crashes and full servers: each message
// is counted once or counted as lost, each answer goes to its caller, and no client gives up.
import { assert } from "@std/assert";
import { CLIENT_SCENES } from "../support/models/scenes/model_client_scenes.ts";
import {
  type ClientTally,
  newClientTally,
  simulateClients,
} from "../support/models/model_clients.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";

const RUNS: Readonly<
  Record<keyof typeof CLIENT_SCENES, { seeds: number; least: Partial<ClientTally> }>
> = {
  restarts: { seeds: 100, least: { links: 300, answers: 500 } },
  backlogs: { seeds: 40, least: { links: 80 } },
  crashes: { seeds: 100, least: { links: 300, answers: 500, lost: 1 } },
  closings: { seeds: 100, least: { closedEarly: 200 } },
  full: { seeds: 40, least: { answers: 300 } },
  balancer: { seeds: 30, least: { links: 150 } },
};

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`Client serves legal programs: ${name}`, async () => {
    const tally = newClientTally();
    const test = {
      file: "tests/models/client_legal_test.ts",
      filter: `Client serves legal programs: ${name}`,
      seeds,
    };
    const scene = CLIENT_SCENES[name as keyof typeof CLIENT_SCENES];
    await modelSeeds(test, (random) => simulateClients(random, scene(random), tally));
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(
        tally[key as keyof ClientTally] >= value,
        `${key} is too low: ${JSON.stringify(tally)}`,
      );
    }
  });
}
