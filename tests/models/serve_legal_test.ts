// Legal programs at serve(), over simulated kernels: none is cut, refused or left to wait, and each
// end is what it is called.
import { assert } from "@std/assert";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import { newServeTally, type ServeTally, simulateServe } from "../support/models/model_serve.ts";
import { SERVE_SCENES } from "../support/models/scenes/model_serve_scenes.ts";

/** Seeds of each scene, and what they must have done together so that they try something. */
const RUNS: Readonly<
  Record<keyof typeof SERVE_SCENES, { seeds: number; least: Partial<ServeTally> }>
> = {
  ordinary: { seeds: 200, least: { peers: 500, answers: 1000, left: 100 } },
  crowds: { seeds: 40, least: { peers: 600, answers: 1200 } },
  pauses: { seeds: 60, least: { answers: 100 } },
  slow: { seeds: 20, least: { answers: 20 } },
  quiet: { seeds: 60, least: { answers: 200 } },
  drains: { seeds: 200, least: { promised: 300, unanswered: 50 } },
  vanishing: { seeds: 20, least: { peers: 30 } },
  balanced: { seeds: 30, least: { peers: 400, answers: 800 } },
  quitters: { seeds: 60, least: { peers: 100 } },
  rates: { seeds: 60, least: { answers: 1000 } },
  held: { seeds: 30, least: { peers: 40 } },
  full: { seeds: 60, least: { turnedAway: 100 } },
};

for (const [name, { seeds, least }] of Object.entries(RUNS)) {
  Deno.test(`serve is fair to legal peers: ${name}`, async () => {
    const tally = newServeTally();
    const test = {
      file: "tests/models/serve_legal_test.ts",
      filter: `serve is fair to legal peers: ${name}`,
      seeds,
    };
    const scene = SERVE_SCENES[name as keyof typeof SERVE_SCENES];
    await modelSeeds(test, (random) => simulateServe(random, scene(random), tally));
    if (!runsAllSeeds) return;
    for (const [key, value] of Object.entries(least)) {
      assert(
        tally[key as keyof ServeTally] >= value,
        `${key} is too low: ${JSON.stringify(tally)}`,
      );
    }
  });
}
