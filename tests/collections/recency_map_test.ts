// RecencyMap against a naive model, and the cost of its operations.
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { RecencyMap } from "../../collections/recency_map.ts";

Deno.test("RecencyMap keeps the order of use, through any sequence of operations", () => {
  const key = fc.integer({ min: 0, max: 6 });
  const operation = fc.tuple(
    fc.constantFrom("set", "touch", "get", "delete", "drop"),
    key,
    fc.nat(99),
  );
  fc.assert(fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
    const map = new RecencyMap<number, number>();
    let model: [number, number][] = [];
    const others = (unwanted: number) => model.filter(([key]) => key !== unwanted);
    for (const [name, key, value] of operations) {
      const known = model.find(([candidate]) => candidate === key);
      if (name === "set") {
        map.set(key, value);
        model = [...others(key), [key, value]];
      } else if (name === "touch") {
        assertEquals(map.touch(key), known?.[1]);
        if (known !== undefined) model = [...others(key), known];
      } else if (name === "get") {
        assertEquals(map.get(key), known?.[1]);
      } else if (name === "delete") {
        assertEquals(map.delete(key), known !== undefined);
        model = others(key);
      } else {
        const oldest = map.oldest();
        assertEquals(oldest, model[0]);
        if (oldest !== undefined) map.delete(oldest[0]);
        model = model.slice(1);
      }
      assertEquals(map.size, model.length);
      assertEquals(map.oldest(), model[0]);
    }
  }));
});
