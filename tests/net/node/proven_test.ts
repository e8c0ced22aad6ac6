// Tests of ProvenCertificates: remembered up to a bound, and the one that was not seen for longest
// goes first.
import { assertEquals } from "@std/assert";
import { ProvenCertificates } from "../../../net/node/proven.ts";

Deno.test("ProvenCertificates remembers ten thousand, and forgets the one that was not seen for longest", () => {
  const proven = new ProvenCertificates();
  for (let i = 0; i < 10_000; i++) proven.add(`${i}`);
  assertEquals([proven.size, proven.has("0"), proven.has("10000")], [10_000, true, false]);
  // Seen again: now the second is the one that was not seen for longest.
  proven.add("0");
  proven.add("10000");
  assertEquals([proven.size, proven.has("0"), proven.has("1"), proven.has("10000")], [
    10_000,
    true,
    false,
    true,
  ]);
  for (let i = 0; i < 5_000; i++) proven.add(`more ${i}`);
  assertEquals(proven.size, 10_000);
});
