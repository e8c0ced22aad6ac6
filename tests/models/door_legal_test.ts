// Servers as they start, and the door of a wire: an end at any moment is one, and probes lock no client out.
import { simulateDoor } from "../support/models/model_doors.ts";
import { modelSeeds } from "../support/models/scenes/model_seeds.ts";
import { simulateStart } from "../support/models/scenes/model_starts.ts";

Deno.test("serve can be ended at any moment of its start", async () => {
  const test = {
    file: "tests/models/door_legal_test.ts",
    filter: "moment of its start",
    seeds: 150,
  };
  await modelSeeds(test, simulateStart);
});

Deno.test("mount lets honest clients in, whatever probes come from their address", async () => {
  const test = { file: "tests/models/door_legal_test.ts", filter: "honest clients", seeds: 40 };
  await modelSeeds(test, simulateDoor);
});
