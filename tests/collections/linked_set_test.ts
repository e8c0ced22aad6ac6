// Tests of the set whose members are removed by their place.
import { assertEquals } from "@std/assert";
import { LinkedSet, type Place } from "../../collections/linked_set.ts";

Deno.test("LinkedSet keeps the order, whichever is removed, and removes nothing twice", () => {
  const cases: readonly [readonly number[], string][] = [
    [[], "abc"],
    [[0], "bc"],
    [[1], "ac"],
    [[2], "ab"],
    [[0, 1], "c"],
    [[2, 0], "b"],
    [[1, 1, 2], "a"],
    [[0, 1, 2], ""],
  ];
  for (const [removed, left] of cases) {
    const set = new LinkedSet<string>();
    const places = [..."abc"].map((value) => set.add(value));
    const seen = removed.map((index) => set.remove(places[index]!));
    assertEquals(seen.filter((isNew) => isNew).length, new Set(removed).size);
    assertEquals([set.values().join(""), set.size, set.first], [left, left.length, left[0]]);
    set.add("d");
    assertEquals(set.values().join(""), left + "d");
  }
});

Deno.test("LinkedSet.clear removes all, and their places are of no more use", () => {
  const set = new LinkedSet<number>();
  const places: Place<number>[] = [1, 2, 3].map((value) => set.add(value));
  set.clear();
  assertEquals([set.size, set.first, set.values()], [0, undefined, []]);
  assertEquals(places.map((place) => set.remove(place)), [false, false, false]);
});
