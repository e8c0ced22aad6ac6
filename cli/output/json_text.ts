// jsonText(): JSON as commands write it: what a terminal would obey is escaped in it, as JSON can.

/** What a terminal obeys, or what hides or turns text around. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * Returns a value as JSON without anything that a terminal obeys, or that hides or turns text
 * around: texts of peers are in it, and people look at it. Each such character is an escape, which
 * every reader of JSON reads back as it was.
 *
 * @param indent Spaces of each level, for people. @default {0, one line}
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(jsonText({ name: "\u009b2J" }), '{"name":"\\u009b2J"}');
 * ```
 */
export function jsonText(value: unknown, indent: number = 0): string {
  // Line by line: what JSON itself has of such characters are the line feeds of its indentation.
  return JSON.stringify(value, null, indent).split("\n").map(visible).join("\n");
}

/** Returns text with each unsafe character as `\uHHHH`, which JSON reads back as it was. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const units = Array.from(
      { length: character.length },
      (_, index) => character.charCodeAt(index),
    );
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
  });
}
