// The same checks of calls over every carrier, each between two processes.
import { assertEquals } from "@std/assert";
import { CARRIERS } from "./programs/carriers/carriers.ts";
import { Carried } from "./carried.ts";
import { CALL_CHECKS } from "./checks/call_checks.ts";
import { STREAM_CHECKS } from "./checks/stream_checks.ts";

for (const [name, { hasStreams }] of Object.entries(CARRIERS)) {
  Deno.test(`calls between two processes: ${name}`, async (t) => {
    await using carried = await Carried.start(name);
    const checks = { ...CALL_CHECKS, ...(hasStreams ? STREAM_CHECKS : {}) };
    for (const [what, check] of Object.entries(checks)) {
      await t.step(what, () => check(carried));
    }
    const { events, output } = carried.program;
    assertEquals(events.filter((event) => "unhandled" in event), [], output);
  });
}
