// The same checks of calls over every carrier, each between two processes.
import { assertEquals } from "@std/assert";
import { Answerers } from "./answerers.ts";
import { CARRIERS } from "./programs/carriers/carriers.ts";
import { Carried } from "./carried.ts";
import { CALL_CHECKS } from "./checks/call_checks.ts";
import { STREAM_CHECKS } from "./checks/stream_checks.ts";

Deno.test("calls between two processes", async (t) => {
  await using answerers = new Answerers();
  for (const [name, { hasStreams }] of Object.entries(CARRIERS)) {
    await t.step(name, async (t) => {
      await using carried = await Carried.start(name, answerers);
      const checks = { ...CALL_CHECKS, ...(hasStreams ? STREAM_CHECKS : {}) };
      for (const [what, check] of Object.entries(checks)) {
        await t.step(what, () => check(carried));
      }
      const unhandled = carried.events.filter((event) => "unhandled" in event);
      assertEquals(unhandled, [], carried.program.output);
    });
  }
});
