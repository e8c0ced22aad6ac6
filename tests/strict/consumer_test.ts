// Optional limits are passed on to every public function: both kinds compile, and none is taken for
// a limit of its own.
import { assertEquals } from "@std/assert";
import { useEverySubpath } from "./consumer.ts";

const SUBPATHS_ASKED = 11;

Deno.test("every public function that waits takes limits that are undefined", async () => {
  assertEquals(await useEverySubpath({}), SUBPATHS_ASKED);
});

Deno.test("every public function that waits takes limits that are given", async () => {
  const signal = new AbortController().signal;
  assertEquals(await useEverySubpath({ signal, timeoutMs: 20_000 }), SUBPATHS_ASKED);
});
