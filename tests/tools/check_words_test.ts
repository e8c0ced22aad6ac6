// Tests of the tool that keeps comments and docs in plain English.
import { assertEquals } from "@std/assert";
import { checkWords } from "../../tools/check_words.ts";

/** The faults, each as its line and the word or the columns that it names. */
function faultsOf(path: string, text: string): string[] {
  return checkWords(path, text).map(({ line, text }) =>
    `${line} ${text.match(/^"([^"]*)"|\d+ columns/)?.[1] ?? "long"}`
  );
}

const FAULTS: readonly (readonly [string, string, ...string[]])[] = [
  ["a role", "// Whoever asks, and nobody else.", "1 Whoever", "1 nobody"],
  ["who without a role", "// It belongs to who reads it, and says who reads.", "1 to who"],
  ["a thing that is a man", "/** The peer and his bytes. */", "1 his"],
  ["gives", "// Gives the size.", "1 Gives"],
  ["gives, where it is right", "// It gives up and gives way; to give one, give the name."],
  ["tells", "/**\n * Tells how\n * it was told.\n */", "2 Tells", "3 told"],
  ["tells, where it is right", "// Tells a frame from a message, and tells them apart."],
  ["is to be, over two lines", "// What is\n// to be sent.", "1 is to be"],
  ["no phrase over code", "x(); // what is\ny(); // to be sent"],
  ["of now, of old", "// The link of now is not that of old.", "1 of now", "1 of old"],
  ["hands over", "// It hands over bytes, handed them over.", "1 hands over", "1 handed them over"],
  ["asker", "// The asker waits.", "1 asker"],
  ["be it", "// It ends, be it late.", "1 , be it"],
];

for (const [name, source, ...expected] of FAULTS) {
  Deno.test(`checkWords() knows ${name}`, () => {
    assertEquals(faultsOf("some.ts", source), expected);
  });
}

Deno.test("checkWords() passes over code, texts and code within comments", () => {
  const source = [
    'const tells = "nobody gives";',
    "const told = `his ${whoever} // not a comment`;",
    "/** Calls `tell()` or {@linkcode tell}; see https://example.com/nobody.",
    " * ```ts",
    " * tells(whoever); // he answers",
    " * ```",
    " */",
  ].join("\n");
  assertEquals(faultsOf("some.ts", source), ["5 he"]);
});

Deno.test("checkWords() reads Markdown without its code and link targets, and with comments in the code", () => {
  const page = [
    "See [the page](nobody.md) and `tells`.",
    "",
    "```ts",
    "tells(); // it told all",
    "```",
    "",
    "```sh",
    "tell  # a shell tells",
    "```",
    "| a table | gives |",
  ].join("\n");
  assertEquals(faultsOf("some.md", page), ["4 told", "8 tells", "10 gives"]);
});

Deno.test("checkWords() wants comments of at most 110 columns, and lets code and addresses be", () => {
  const at = `// ${"a ".repeat(53)}b`;
  assertEquals(at.length, 110);
  assertEquals(faultsOf("some.ts", `${at}\n${at}b\n`), ["2 long"]);
  const code = `const text = "${"a ".repeat(60)}";`;
  const address = `// https://example.com/${"a".repeat(100)}`;
  assertEquals(faultsOf("some.ts", `${code}\n${address}\n${code} // and why`), ["3 long"]);
  assertEquals(
    faultsOf("some.ts", `//   deno run ${code}\n * | ${code} |\n// deno-lint-ignore ${code}`),
    [],
  );
  assertEquals(faultsOf("some.md", `${at}b`), []);
});

Deno.test("checkWords() says what to write instead", () => {
  assertEquals(checkWords("some.ts", "\n// The link of now."), [{
    line: 2,
    text: '"of now": write "current"',
  }]);
});
