// Programs that lease connections of a Pool, in every state and through all that befalls backends:
// no answer goes to another, none is null that was owed, and the pool gets over everything.
import { assert } from "@std/assert";
import { POOL_SCENES } from "../support/models/scenes/model_pool_scenes.ts";
import { newPoolTally, type PoolTally, simulatePool } from "../support/models/model_pools.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";

const RUNS: Readonly<
  Record<keyof typeof POOL_SCENES, { seeds: number; least: Partial<PoolTally> }>
> = {
  leases: { seeds: 100, least: { answers: 1500, reused: 800 } },
  rolling: { seeds: 100, least: { answers: 1500, retries: 20 } },
  crashes: { seeds: 100, least: { answers: 1000, failures: 50, opened: 40 } },
};

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`Pool serves legal programs: ${name}`, async () => {
    const tally = newPoolTally();
    const test = {
      file: "tests/models/pool_legal_test.ts",
      filter: `Pool serves legal programs: ${name}`,
      seeds,
    };
    const scene = POOL_SCENES[name as keyof typeof POOL_SCENES];
    await modelSeeds(test, (random) => simulatePool(random, scene(random), tally));
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(tally[key as keyof PoolTally] >= value, `${key} is too low: ${JSON.stringify(tally)}`);
    }
  });
}
