// Checks all that is exported: every entry point has an example, every symbol and member is
// documented, and every optional property takes `undefined`, so that a caller with
// exactOptionalPropertyTypes can pass on an optional value.

import { fail } from "./report.ts";
import { ROOT } from "./source_files.ts";

/** What Deno reports for anything that can have a comment. */
interface Documented {
  readonly name?: string | undefined;
  readonly jsDoc?: JsDoc | undefined;
}

interface JsDoc {
  readonly doc?: string | undefined;
  readonly tags?: readonly { readonly kind: string }[] | undefined;
}

/** One symbol that an entry point exports. */
interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly (Documented & {
    readonly kind: string;
    readonly declarationKind: string;
    readonly def?: Readonly<Record<string, unknown>> | undefined;
  })[];
}

/** What `deno doc --json` prints. */
export interface DocTree {
  readonly nodes: Readonly<
    Record<
      string,
      { readonly module_doc?: JsDoc | undefined; readonly symbols: readonly DocSymbol[] }
    >
  >;
}

/** How much is documented, and what is not. */
export interface DocCoverage {
  readonly documented: number;
  readonly missing: readonly string[];
}

/** Where the members of classes and interfaces are. */
const MEMBERS = ["constructors", "properties", "methods", "callSignatures", "indexSignatures"];

/** Counts what has a comment; `exampleless` entry points need no example in it. */
export function docCoverage(tree: DocTree, exampleless: readonly string[] = []): DocCoverage {
  const missing: string[] = [];
  let documented = 0;
  const see = (what: string, jsDoc: JsDoc | undefined) => {
    if ((jsDoc?.doc ?? "").trim() !== "") documented++;
    else missing.push(what);
  };
  for (const [url, { module_doc: moduleDoc, symbols }] of Object.entries(tree.nodes)) {
    const path = url.startsWith(ROOT.href) ? url.slice(ROOT.href.length) : url;
    see(path, moduleDoc);
    const hasExample = moduleDoc?.tags?.some(({ kind }) => kind === "example") ?? false;
    if (!hasExample && !exampleless.includes(path)) missing.push(`${path}: an example`);
    for (const { name, declarations } of symbols) {
      for (const { kind, declarationKind, jsDoc, def } of declarations) {
        // What another entry point documents is referred to from here; of overloads, the one with a
        // body is not shown.
        if (declarationKind !== "export" || kind === "reference") continue;
        if (declarations.length > 1 && def?.["hasBody"] === true) continue;
        see(`${path}: ${name}`, jsDoc);
        for (const member of membersOf(def)) see(`${path}: ${name}.${member.name}`, member.jsDoc);
      }
    }
  }
  return { documented, missing };
}

function membersOf(def: Readonly<Record<string, unknown>> | undefined): Documented[] {
  return MEMBERS.flatMap((kind) => {
    const members = def?.[kind];
    return Array.isArray(members)
      ? members.filter(({ accessibility }) => accessibility !== "private")
      : [];
  });
}

/** A type, as Deno reports it. */
interface DocType {
  readonly kind: string;
  readonly value: unknown;
}

interface OptionalProperty {
  readonly name: string;
  readonly optional?: boolean | undefined;
  readonly tsType?: DocType | undefined;
}

/**
 * The optional properties, in exported types and in the types of parameters, that do not take
 * `undefined`.
 */
export function exactOptionals(tree: DocTree): string[] {
  return Object.values(tree.nodes).flatMap(({ symbols }) => symbols).flatMap((
    { name, declarations },
  ) =>
    propertiesIn(declarations)
      .filter(({ optional, tsType }) => optional === true && !takesUndefined(tsType))
      .map((property) => `${name}.${property.name}`)
  );
}

/** All properties of types in a part of the tree, at any depth. */
function propertiesIn(part: unknown): OptionalProperty[] {
  if (typeof part !== "object" || part === null) return [];
  const own = "properties" in part && Array.isArray(part.properties) ? part.properties : [];
  return [...own, ...Object.values(part).flatMap(propertiesIn)];
}

function takesUndefined(type: DocType | undefined): boolean {
  if (type?.kind === "union") return (type.value as DocType[]).some(takesUndefined);
  return type?.kind === "keyword" && ["undefined", "unknown"].includes(type.value as string);
}

function readTree(): DocTree {
  const { exports }: { exports: Record<string, string> } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  );
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values(exports)],
    cwd: ROOT,
    stdin: "null",
  }).outputSync();
  if (!success) fail(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

if (import.meta.main) {
  // The command line is called, not imported; its help has the examples.
  const tree = readTree();
  const { documented, missing } = docCoverage(tree, ["cli/main.ts"]);
  const all = documented + missing.length;
  console.log(`${documented} of ${all} documented`);
  if (missing.length > 0) fail(`Not documented:\n${missing.join("\n")}`);
  const exact = exactOptionals(tree);
  if (exact.length > 0) fail(`Optional, and without "| undefined":\n${exact.join("\n")}`);
}
