// Two sessions of ours, legal in all they do: no peer is cut, reset, starved or shown a wrong end; no byte is
// lost in silence.
import { assert } from "@std/assert";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import { newTally, simulate, type Tally } from "../support/models/model_world.ts";
import { SCENES } from "../support/models/scenes/model_scenes.ts";

/** Seeds of each scene, and what they must have done together so that they try something. */
const RUNS: Readonly<Record<keyof typeof SCENES, { seeds: number; least: Partial<Tally> }>> = {
  ordinary: { seeds: 300, least: { streams: 1000, inOrder: 1500, excused: 100 } },
  crowds: { seeds: 100, least: { streams: 1000 } },
  uploads: { seeds: 60, least: { streams: 500, bytes: 20_000_000 } },
  rests: { seeds: 100, least: { streams: 200, bytes: 20_000_000 } },
  leavings: { seeds: 60, least: { streams: 200 } },
  hangups: { seeds: 30, least: { streams: 3000 } },
  farewells: { seeds: 200, least: { streams: 500 } },
  impatience: { seeds: 100, least: { streams: 300 } },
  cuts: { seeds: 200, least: { cut: 150 } },
};

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`MuxSession is fair to legal peers: ${name}`, async () => {
    const tally = newTally();
    const test = { file: "tests/models/mux_legal_test.ts", filter: name, seeds };
    await modelSeeds(
      test,
      (random) => simulate(random, SCENES[name as keyof typeof SCENES](random), tally),
    );
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(tally[key as keyof Tally] >= value, `${key} is too low: ${JSON.stringify(tally)}`);
    }
  });
}
