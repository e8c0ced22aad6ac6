// Test of many short connections through a hub, half of them reset by their clients, beside
// connections of other callers.
import { assert, assertEquals } from "@std/assert";
import { runProgram } from "../support/programs/program.ts";
import { effort } from "../support/random.ts";

Deno.test("forward and expose carry a talk and a download unharmed beside a thousand connections of which half are reset", async () => {
  const connections = 1000 * effort; // PARLEY_FUZZ_RUNS=10 makes 10 000 and downloads 1 GiB
  const mebibytes = Math.round(102.4 * effort);
  const args = [String(connections), String(mebibytes)];
  const { code, stdout, stderr } = await runProgram("tests/wire/tunnel_churn_program.ts", args);
  assertEquals([code, stderr], [0, ""]);
  if (effort > 1) console.log(stdout);
  const { served, bytes, hashEqual, echoes, ends, errors } = JSON.parse(stdout);
  assertEquals([served, bytes, hashEqual, ends], [connections / 2, mebibytes * 2 ** 20, true, []]);
  assert(echoes > 20, stdout);
  // The caller whose connections were reset gets the error, and no other.
  assertEquals(Object.keys(errors), ["carol: ERR_RESET"]);
});
