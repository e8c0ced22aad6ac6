// Tests of the tool that finds what is exported without a comment.
import { assertEquals } from "@std/assert";
import { docCoverage, type DocTree, exactOptionals } from "../../tools/check_docs.ts";
import { ROOT } from "../../tools/source_files.ts";

const doc = { doc: "It says what it is." };

function treeOf(
  moduleDoc: { doc?: string; tags?: { kind: string }[] } | undefined,
  def: object,
): DocTree {
  const declaration = { kind: "class", declarationKind: "export", jsDoc: doc, def: { ...def } };
  const symbols = [{ name: "Thing", declarations: [declaration] }];
  return {
    nodes: { [`${ROOT.href}thing.ts`]: { ...moduleDoc && { module_doc: moduleDoc }, symbols } },
  };
}

Deno.test("docCoverage() counts entry points, symbols and their members", () => {
  const tree = treeOf({ ...doc, tags: [{ kind: "example" }] }, {
    constructors: [{ name: "constructor", jsDoc: doc }],
    methods: [{ name: "run", jsDoc: doc }],
    properties: [{ name: "hidden", accessibility: "private" }],
  });
  assertEquals(docCoverage(tree), { documented: 4, missing: [] });
});

Deno.test("docCoverage() names a module, an example and members that are missing, and blank comments", () => {
  const tree = treeOf(undefined, {
    properties: [{ name: "id" }],
    methods: [{ name: "run", jsDoc: { doc: " " } }],
  });
  assertEquals(docCoverage(tree), {
    documented: 1,
    missing: ["thing.ts", "thing.ts: an example", "thing.ts: Thing.id", "thing.ts: Thing.run"],
  });
  assertEquals(docCoverage(tree, ["thing.ts"]).missing.includes("thing.ts: an example"), false);
});

Deno.test("docCoverage() passes over what is no export of its own, and the body behind overloads", () => {
  const tree: DocTree = {
    nodes: {
      "thing.ts": {
        module_doc: { ...doc, tags: [{ kind: "example" }] },
        symbols: [
          { name: "elsewhere", declarations: [{ kind: "reference", declarationKind: "export" }] },
          { name: "inner", declarations: [{ kind: "variable", declarationKind: "private" }] },
          {
            name: "twice",
            declarations: [
              { kind: "function", declarationKind: "export", jsDoc: doc },
              { kind: "function", declarationKind: "export", def: { hasBody: true } },
            ],
          },
        ],
      },
    },
  };
  assertEquals(docCoverage(tree), { documented: 2, missing: [] });
});

Deno.test("exactOptionals() finds optional properties without undefined, in types of parameters as well", () => {
  const number = { kind: "keyword", value: "number" };
  const orUndefined = { kind: "union", value: [number, { kind: "keyword", value: "undefined" }] };
  const unknown = { kind: "keyword", value: "unknown" };
  const property = (name: string, tsType: object, optional = true) => ({ name, tsType, optional });
  const literal = { kind: "typeLiteral", value: { properties: [property("timeoutMs", number)] } };
  const tree = treeOf(doc, {
    properties: [
      property("exact", number),
      property("loose", orUndefined),
      property("any", unknown),
      property("needed", number, false),
    ],
    methods: [{
      name: "close",
      functionDef: { params: [{ kind: "identifier", tsType: literal }] },
    }],
  });
  assertEquals(exactOptionals(tree), ["Thing.exact", "Thing.timeoutMs"]);
});
