// Tests of the tool that makes test modules of the examples in the documentation.
import { assertEquals } from "@std/assert";
import { examplesIn } from "../../tools/examples.ts";
import { ROOT } from "../../tools/source_files.ts";

const TICKS = "```";

Deno.test("examplesIn() finds the blocks in comments that run, by their lines", () => {
  const text = [
    "// The file.",
    "/**",
    " * One.",
    ` * ${TICKS}ts`,
    " * first();",
    " *   second();",
    " *",
    ` * ${TICKS}`,
    ` * ${TICKS}ts ignore`,
    " * never();",
    ` * ${TICKS}`,
    ` * ${TICKS}sh`,
    " * never();",
    ` * ${TICKS}`,
    " */",
    "export const a = 1;",
    "class Thing {",
    "  /**",
    `   * ${TICKS}js`,
    "   * third();",
    `   * ${TICKS}`,
    "   */",
    `  text = \`${TICKS}ts`,
    "  never();",
    `  ${TICKS}\`;`,
    "}",
  ].join("\n");
  assertEquals(examplesIn("room/file.ts", text), [
    { name: "room/file.ts#4-8.ts", code: "first();\n  second();\n\nexport {};\n" },
    { name: "room/file.ts#19-21.ts", code: "third();\nexport {};\n" },
  ]);
});

Deno.test("examplesIn() finds those of Markdown", () => {
  const text =
    `# Title\n\n${TICKS}ts\nrun();\n${TICKS}\n\n${TICKS}\nnever();\n${TICKS}\n${TICKS}ts ignore\nnever();\n${TICKS}\n`;
  assertEquals(examplesIn("README.md", text), [{
    name: "README.md#3-5.ts",
    code: "run();\nexport {};\n",
  }]);
});

Deno.test("examplesIn() brings what the file exports and what is imported beside it", () => {
  const text = [
    "/**",
    ` * ${TICKS}ts`,
    ' * import { b, type C } from "./other.ts";',
    ' * import { Taken } from "../up.ts";',
    ' * import { assert } from "@std/assert";',
    " * const thing = new Thing(make(b), Taken);",
    ' * await import("./late.ts");',
    ` * ${TICKS}`,
    " */",
    "export class Thing {}",
    "export async function make() {}",
    "export function unused() {}",
    "export class Taken {}",
  ].join("\n");
  const [example] = examplesIn("room/file.ts", text);
  assertEquals(example?.code.split("\n"), [
    `import { Thing, make } from "${ROOT}room/file.ts";`,
    `import { b, type C } from "${ROOT}room/other.ts";`,
    `import { Taken } from "${ROOT}up.ts";`,
    'import { assert } from "@std/assert";',
    "const thing = new Thing(make(b), Taken);",
    `await import("${ROOT}room/late.ts");`,
    "export {};",
    "",
  ]);
});
