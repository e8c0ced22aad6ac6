// editDistance(): a table, and random words against the definition.
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { editDistance } from "../../options/edit_distance.ts";

const TABLE: readonly (readonly [from: string, to: string, distance: number])[] = [
  ["", "", 0],
  ["", "port", 4],
  ["port", "", 4],
  ["port", "port", 0],
  ["prot", "port", 2],
  ["ports", "port", 1],
  ["pot", "port", 1],
  ["part", "port", 1],
  ["kitten", "sitting", 3],
  ["a".repeat(64), "b".repeat(64), 64],
  ["😀b", "😀c", 1],
  ["😀", "😁", 1],
];

Deno.test("editDistance() counts characters that are added, removed or replaced", () => {
  for (const [from, to, distance] of TABLE) {
    assertEquals([from, to, editDistance(from, to)], [from, to, distance]);
    assertEquals([to, from, editDistance(to, from)], [to, from, distance]);
  }
});

/** The definition, word for word. */
function defined(from: string, to: string): number {
  if (from === "" || to === "") return from.length + to.length;
  const replaced = defined(from.slice(1), to.slice(1)) + (from[0] === to[0] ? 0 : 1);
  return Math.min(replaced, defined(from.slice(1), to) + 1, defined(from, to.slice(1)) + 1);
}

Deno.test("editDistance() is the Levenshtein distance of random words", () => {
  const word = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 6 }).map((letters) =>
    letters.join("")
  );
  fc.assert(fc.property(word, word, (from, to) => editDistance(from, to) === defined(from, to)));
});
