// A session of ours against a yamux peer written from the specification, with the habits of Go programs: ids
// out of order, window updates behind FIN, resets that drop what is unread.
import { assert } from "@std/assert";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import { newTally, simulate, type Tally } from "../support/models/model_world.ts";
import { SCENES, withRawPeer } from "../support/models/scenes/model_scenes.ts";

const RUNS: Partial<Record<keyof typeof SCENES, { seeds: number; least: Partial<Tally> }>> = {
  ordinary: { seeds: 200, least: { streams: 700, inOrder: 1000 } },
  crowds: { seeds: 100, least: { streams: 1000, refused: 100 } },
  uploads: { seeds: 40, least: { streams: 200, bytes: 20_000_000 } },
  rests: { seeds: 60, least: { streams: 100, bytes: 10_000_000 } },
  leavings: { seeds: 40, least: { streams: 100 } },
  hangups: { seeds: 20, least: { streams: 2000 } },
  farewells: { seeds: 100, least: { streams: 200 } },
};

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`MuxSession is fair to yamux programs: ${name}`, async () => {
    const tally = newTally();
    const test = { file: "tests/models/yamux_legal_test.ts", filter: name, seeds };
    const scene = SCENES[name as keyof typeof SCENES];
    await modelSeeds(test, (random) => simulate(random, withRawPeer(scene(random)), tally));
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(tally[key as keyof Tally] >= value, `${key} is too low: ${JSON.stringify(tally)}`);
    }
  });
}
