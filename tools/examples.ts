// Finds the examples in the documentation, as `deno test --doc` does, and makes one test module of them.

import { pathToFileURL as toFileUrl } from "node:url";
import { findFiles, ROOT } from "./source_files.ts";

/** One block of code that runs. */
export interface Example {
  /** Path of its file and its lines, as Deno names it: `mod.ts#10-15.ts`. */
  readonly name: string;
  /** A module that can be anywhere. */
  readonly code: string;
}

const COMMENT = /\/\*\*[\s\S]*?\*\//g;
const BLOCK = /^[ \t]*(?:\* ?)?```([^\n`]*)\n([\s\S]*?)^[ \t]*(?:\* ?)?```[ \t]*$/gm;
const LANGUAGES = ["ts", "typescript", "js", "javascript"];
const EXPORTED_VALUE =
  /^export (?:abstract )?(?:async )?(?:function\*?|class|const|let|enum) (\w+)/gm;
const IMPORT = /^import [\s\S]*?;$/gm;
const RELATIVE = /(?<=\b(?:from|import) ?\(?)"(\.\.?\/[^"]*)"/g;

/** The examples of one file: those in its comments, or in all of it where that is Markdown. */
export function examplesIn(path: string, text: string): Example[] {
  const isMarkdown = path.endsWith(".md");
  const parts = isMarkdown ? [{ 0: text, index: 0 }] : [...text.matchAll(COMMENT)];
  const exported = isMarkdown ? [] : [...text.matchAll(EXPORTED_VALUE)].map(([, name]) => name!);
  return parts.flatMap(({ 0: part, index: start }) =>
    [...part.matchAll(BLOCK)].flatMap(({ 0: block, index, 1: info = "", 2: inside = "" }) => {
      const [language = "", ...attributes] = info.trim().split(/[\s,]+/);
      if (!LANGUAGES.includes(language) || attributes.includes("ignore")) return [];
      const code = isMarkdown ? inside : inside.replace(/^[ \t]*\* ?/gm, "");
      const at = start + index;
      const [first, last] = [at, at + block.length].map((end) =>
        text.slice(0, end).split("\n").length
      );
      return [{ name: `${path}#${first}-${last}.ts`, code: moduleOf(code, path, exported) }];
    })
  );
}

/** Code with all that it needs of its own file: what that exports, and its relative imports. */
function moduleOf(code: string, path: string, exported: readonly string[]): string {
  const url = new URL(path, ROOT);
  const imports = (code.match(IMPORT) ?? []).join("\n");
  const missing = exported.filter((name) => mentions(code, name) && !mentions(imports, name));
  const own = missing.length > 0 ? `import { ${missing.join(", ")} } from "${url}";\n` : "";
  const absolute = (_: string, specifier: string) => `"${new URL(specifier, url)}"`;
  return `${own}${code.replace(RELATIVE, absolute)}export {};\n`;
}

function mentions(code: string, name: string): boolean {
  return new RegExp(`\\b${name}\\b`).test(code);
}

/** All examples but those of the tests. */
export function findExamples(): Example[] {
  const paths = [...findFiles(".ts"), ...findFiles(".md")].filter((path) =>
    !path.startsWith("tests/")
  );
  return paths.flatMap((path) => examplesIn(path, Deno.readTextFileSync(new URL(path, ROOT))));
}

/**
 * Writes a module for each example into `folder`, and one with a test for each of those: its path.
 * They share what they import, which Deno would load anew for each.
 */
export function writeExamples(examples: readonly Example[], folder: string): string {
  const tests = examples.map(({ name, code }, i) => {
    const path = `${folder}/example_${i}.ts`;
    Deno.writeTextFileSync(path, code);
    const url = JSON.stringify(toFileUrl(path).href);
    return `Deno.test(${JSON.stringify(name)}, async () => void await import(${url}));\n`;
  });
  const path = `${folder}/examples_test.ts`;
  Deno.writeTextFileSync(path, tests.join(""));
  return path;
}
