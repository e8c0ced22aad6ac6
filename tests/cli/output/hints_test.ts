// Tests of hints: a user of the command line reads what to try next.
import { assert, assertEquals } from "@std/assert";
import { hintFor } from "../../../cli/output/hints.ts";
import { AddressError, ParleyError, type ParleyErrorCode, TimeoutError } from "../../../errors.ts";
import { file } from "../../support/programs/program.ts";

/** What says all by itself, or what no command can bring about. */
const WITHOUT: readonly string[] = [
  "ERR_CLOSED",
  "ERR_ACQUIRE_TIMEOUT",
  "ERR_NO_BACKEND",
  "ERR_NO_STATS_FOR_DAY",
  "ERR_PROXY_HEADER",
];

Deno.test("hintFor has a hint for every code of errors.ts that a command can end with", async () => {
  const text = await Deno.readTextFile(file("errors.ts"));
  const codes = new Set(
    [...text.matchAll(/^ {2}\| "(ERR_[A-Z_]+)"|"(ERR_[A-Z_]+)" \|/gm)].map((m) =>
      (m[1] ?? m[2]) as ParleyErrorCode
    ),
  );
  assert(codes.size > 25, `There are ${codes.size} codes only`);
  const silent = [...codes].filter((code) => hintFor(new ParleyError(code, "x")) === null);
  assertEquals(silent.filter((code) => !WITHOUT.includes(code)), []);
  for (
    const code of [
      "ERR_MUX_FLOOD",
      "ERR_WIRE_FRAME",
      "ERR_IPC_RECORD",
      "ERR_NO_PEER",
      "ERR_NAME_TAKEN",
    ] as const
  ) {
    assert(hintFor(new ParleyError(code, "x")) !== null, code);
  }
});

Deno.test("hintFor looks behind what took too long", () => {
  const cause = new AddressError("ERR_CONNECT_REFUSED", "x");
  assertEquals(hintFor(new TimeoutError("ERR_CONNECT_TIMEOUT", "x", { cause })), hintFor(cause));
  assertEquals(hintFor(new Error("x")), null);
});
