// Tests of the tool that wraps comments that are too wide.
import { assertEquals } from "@std/assert";
import { wrapComments } from "../../tools/wrap_comments.ts";

/** So many words, 5 columns each. */
function words(count: number): string {
  return Array.from({ length: count }, (_, index) => `w${String(index).padStart(3, "0")}`).join(
    " ",
  );
}

Deno.test("wrapComments() leaves comments of at most 110 columns as they are", () => {
  const at = `/** ${words(19)} 0123456. */`;
  assertEquals(at.length, 110);
  assertEquals(wrapComments(at), at);
  assertEquals(wrapComments(`/** ${words(19)} 01234567. */`).split("\n").length, 3 + 1);
});

Deno.test("wrapComments() wraps at 100 columns and keeps the indent", () => {
  assertEquals(
    wrapComments(`  /** ${words(30)} */\n  run();`).split("\n"),
    ["  /**", `   * ${words(19)}`, `   * ${words(30).slice(95)}`, "   */", "  run();"],
  );
  assertEquals(wrapComments(`  // ${words(30)}\n  run();`).split("\n"), [
    `  // ${words(19)}`,
    `  // ${words(30).slice(95)}`,
    "  run();",
  ]);
});

Deno.test("wrapComments() joins the lines of a paragraph, and no others", () => {
  const source = ["/**", ` * ${words(30)}`, " * and more", " *", " * Short.", " */"];
  assertEquals(wrapComments(source.join("\n")).split("\n"), [
    "/**",
    ` * ${words(19)}`,
    ` * ${words(30).slice(95)} and more`,
    " *",
    " * Short.",
    " */",
  ]);
});

Deno.test("wrapComments() keeps items, tags, code, tables and drawings apart", () => {
  const kept = [
    "/**",
    ` * - an item ${words(25)}`,
    " * - another",
    " * @param name of it",
    " * ```ts",
    ` * run("${words(30)}");`,
    " * ```",
    ` * | ${words(30)} |`,
    ` * ├── ${words(30)}`,
    " */",
  ];
  assertEquals(wrapComments(kept.join("\n")).split("\n"), [
    "/**",
    ` * - an item ${words(17)}`,
    ` *   ${words(25).slice(85)}`,
    ...kept.slice(2),
  ]);
});

Deno.test("wrapComments() takes an indented line for a command, but not behind an item", () => {
  const command = `//   deno run ${words(30)}`;
  assertEquals(wrapComments(`// Start it:\n//\n${command}`), `// Start it:\n//\n${command}`);
  assertEquals(wrapComments(`// - an item\n//   ${words(30)}`).split("\n").length, 2);
  assertEquals(wrapComments(`// - an item\n//   ${words(30)}`).includes("item w000"), true);
});

Deno.test("wrapComments() begins a line with @default, and breaks no link", () => {
  const source = `/** ${
    words(17)
  } {@linkcode run the thing}, and more. @default {two words} as a reason */`;
  assertEquals(wrapComments(source).split("\n"), [
    "/**",
    ` * ${words(17)}`,
    " * {@linkcode run the thing}, and more.",
    " * @default {two words} as a reason",
    " */",
  ]);
});

Deno.test("wrapComments() begins no line with what would be an item or a tag", () => {
  assertEquals(
    wrapComments(`// ${words(19)} - ${words(5)}`).split("\n"),
    [`// ${words(19)} -`, `// ${words(5)}`],
  );
});

Deno.test("wrapComments() leaves code, its texts and the comments behind it alone", () => {
  const source = `const text = \`\n// ${words(30)}\n\`; // ${words(30)}`;
  assertEquals(wrapComments(source), source);
});

Deno.test("wrapComments() wraps at 110 columns where 100 would make a file too long", () => {
  const comment = `// ${words(40)}`;
  const code = "run();\n".repeat(398);
  assertEquals(
    wrapComments(`${code}${comment}`).split("\n").slice(398).map((line) => line.length),
    [
      107,
      97,
    ],
  );
});
