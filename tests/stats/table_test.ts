// The table of docs/stats.md: it has every counter once, with its metric and the kinds that have it.
import { assert, assertEquals } from "@std/assert";
import {
  newClientCounters,
  newIpcCounters,
  newServerCounters,
  newWireCounters,
} from "../../stats/data/counters.ts";
import { COUNTERS } from "../../stats/export/metrics.ts";

const KINDS: Readonly<Record<string, () => object>> = {
  server: newServerCounters,
  client: newClientCounters,
  wire: newWireCounters,
  ipc: newIpcCounters,
};

/** Texts in backquotes. */
function codes(cell: string | undefined): string[] {
  return Array.from((cell ?? "").matchAll(/`([^`]+)`/g), ([, code]) => code!);
}

Deno.test("docs/stats.md tells of every counter once, with its metric, its kinds, and what raises it", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/stats.md", import.meta.url));
  const section = text.split("### What counts as what")[1]!.split("\n###")[0]!;
  const rows = section.split("\n").filter((line) => line.startsWith("| `")).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
  const told = new Map<string, string[]>();
  for (const [counters, metrics, kinds, what] of rows) {
    const names = codes(counters);
    const families = names.map((name) =>
      `parley_${COUNTERS[name as keyof typeof COUNTERS]?.[0]}_total`
    );
    assertEquals(codes(metrics), families, counters);
    assert(what!.length > 10, counters);
    for (const name of names) {
      assert(!told.has(name), `${name} is told twice`);
      told.set(name, kinds!.split(", "));
    }
  }
  for (const name of Object.keys(COUNTERS)) {
    const having = Object.keys(KINDS).filter((kind) => name in KINDS[kind]!());
    assertEquals(told.get(name), having, name);
  }
  assertEquals(told.size, Object.keys(COUNTERS).length);
});
