// Tests of the table of ids: against a Map, with ids that count up, stay, and share a place.
import { assertEquals } from "@std/assert";
import { IdTable } from "../../collections/id_table.ts";
import { Random } from "../support/random.ts";

Deno.test("IdTable gives what was set, once, and knows nothing at first", () => {
  const table = new IdTable<string>();
  assertEquals([table.size, table.has(0), table.get(0), table.delete(0)], [
    0,
    false,
    undefined,
    false,
  ]);
  table.set(0, "a");
  table.set(0xffffffff, "b");
  table.set(0, "c");
  assertEquals([table.size, table.get(0), table.get(0xffffffff)], [2, "c", "b"]);
  assertEquals([table.delete(0), table.delete(0), table.has(0)], [true, false, false]);
  table.clear();
  assertEquals([table.size, table.get(0xffffffff), table.values()], [0, undefined, []]);
});

Deno.test("IdTable keeps ids apart that share a place, however many there are", () => {
  const table = new IdTable<number>();
  const ids = Array.from({ length: 3000 }, (_, index) => index * 1024);
  for (const id of ids) table.set(id, id);
  for (const id of ids) table.set(id, id + 1);
  assertEquals(table.size, ids.length);
  assertEquals(table.values(), ids.map((id) => id + 1));
  for (const id of ids) assertEquals([table.get(id), table.delete(id)], [id + 1, true]);
  assertEquals(table.size, 0);
});

Deno.test("IdTable does what a Map does, for ids that count up and leave in any order", () => {
  const random = new Random(13);
  const table = new IdTable<number>();
  const map = new Map<number, number>();
  for (let id = 0; id < 20_000; id++) {
    table.set(id, id * 2);
    map.set(id, id * 2);
    const most = id % 4000 < 2000 ? 40 : 1500; // less than the places, and more than the most places
    while (map.size > most) {
      // One in eight stays long, so that others find its place taken.
      const leaving = [...map.keys()].slice(0, 64).filter((key) =>
        key % 8 !== 0 || key < id - 5000
      );
      const key = leaving[random.int(0, leaving.length - 1)] ?? map.keys().next().value!;
      assertEquals(table.delete(key), map.delete(key));
    }
    assertEquals(table.size, map.size);
    const seen = random.int(0, id);
    assertEquals([table.get(seen), table.has(seen)], [map.get(seen), map.has(seen)]);
  }
  assertEquals(table.values(), [...map.values()]);
});
