// Memory of a Client whose messages go nowhere stays within what was configured, in a process of its own.
import { assert, assertEquals } from "@std/assert";
import { runProgram } from "../support/programs/program.ts";

/**
 * In MiB: 8 are configured to wait and 1 to be on the link, which holds a copy of small messages
 * beside what is kept to be sent again; the rest is the runtime's: 5 on a machine that does nothing
 * else, and more on a busy one.
 */
const MAX_GROWTH_MIB = 24;

for (const kind of ["linked", "unlinked"]) {
  Deno.test(`Client ${kind === "linked" ? "whose server never reads" : "without a server"} keeps memory within bounds`, async () => {
    const { code, stdout, stderr } = await runProgram("tests/client/memory_program.ts", [kind], {
      flags: ["--v8-flags=--expose-gc"],
    });
    assertEquals([code, stderr], [0, ""]);
    const { sentMib, refused, grewMib } = JSON.parse(stdout);
    // Much was sent without waiting; nearly all of it was refused.
    assert(sentMib > 700 && refused > 35_000, stdout);
    assert(grewMib < MAX_GROWTH_MIB, stdout);
  });
}
