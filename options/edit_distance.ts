// editDistance(): how far apart two words are.

/**
 * Returns the Levenshtein distance of two texts: the fewest characters to add, remove or replace
 * that turn one into the other. Takes time in proportion to the product of their lengths.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(editDistance("maxConection", "maxConnections"), 2);
 * ```
 */
export function editDistance(from: string, to: string): number {
  const target = [...to];
  /** Distances from what was read of `from` to each start of `to`. */
  let row = [0, ...target.map((_, index) => index + 1)];
  for (const character of from) {
    const next = [row[0]! + 1];
    for (const [index, wanted] of target.entries()) {
      const replaced = row[index]! + (character === wanted ? 0 : 1);
      next.push(Math.min(replaced, row[index + 1]! + 1, next[index]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
