// Clients, servers and a hub with several callers, whole, over simulated links: no innocent peer is cut,
// nothing lost is called orderly, and no caller pays for another.
import { assert } from "@std/assert";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import { simulateWire } from "../support/models/model_wire.ts";
import { WIRE_SCENES } from "../support/models/scenes/model_wire_scenes.ts";
import { newTally, type Tally } from "../support/models/model_world.ts";

const RUNS: Readonly<Record<keyof typeof WIRE_SCENES, { seeds: number; least: Partial<Tally> }>> = {
  mount: { seeds: 150, least: { streams: 600, inOrder: 600 } },
  hub: { seeds: 60, least: { streams: 800, inOrder: 800, cut: 10 } },
  closings: { seeds: 20, least: { streams: 25 } },
  hubTurns: { seeds: 20, least: { streams: 1000 } },
  hubRests: { seeds: 40, least: { streams: 100, bytes: 20_000_000 } },
};

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`wire is fair to legal peers: ${name}`, async () => {
    const tally = newTally();
    const test = { file: "tests/models/wire_legal_test.ts", filter: `/: ${name}$/`, seeds };
    await modelSeeds(
      test,
      (random) =>
        simulateWire(random, WIRE_SCENES[name as keyof typeof WIRE_SCENES](random), tally),
    );
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(tally[key as keyof Tally] >= value, `${key} is too low: ${JSON.stringify(tally)}`);
    }
  });
}
