// The contract of a clock: what calls_server.ts answers and calls_client.ts calls. Both import it.
//
//   deno run --allow-net --allow-env=TOKEN examples/calls_server.ts 7000
//
// Then start calls_client.ts.
import { call, collect, contract, feed, talk } from "@parley/parley/calls";
import { z } from "zod"; // or valibot, arktype, or types alone

export const clock = contract({
  now: call<void, string>(), // types alone: what comes is not checked
  add: call({
    input: z.object({ a: z.number(), b: z.number() }), // checked where it arrives
    output: z.number(),
    errors: { ERR_TOO_BIG: z.object({ max: z.number() }) },
  }),
  ticks: feed({ input: z.object({ everyMs: z.number().min(1) }), output: z.string() }),
  average: collect({ input: z.number(), output: z.number() }),
  spell: talk({ input: z.number(), output: z.string() }),
}, { name: "clock", version: "1.0" });
