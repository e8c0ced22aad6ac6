// Tests of the layer check.
import { assertEquals } from "@std/assert";
import { checkLayers } from "../../tools/check_layers.ts";
import { codeOnly, importsOf } from "../../tools/source_text.ts";

function check(files: Record<string, string>): string[] {
  return checkLayers(new Map(Object.entries(files)));
}

Deno.test("checkLayers accepts imports that point down or stay in their layer", () => {
  assertEquals(
    check({
      "errors.ts": "export class ParleyError extends Error {}\n",
      "framing.ts": 'export * from "./framing/raw.ts";\n',
      "framing/raw.ts":
        'import { ParleyError } from "../errors.ts";\nexport const x = ParleyError;\n',
      "server.ts": 'export { x } from "./framing.ts";\n',
      "cli/main.ts":
        'import { x } from "../server.ts";\nimport { assert } from "@std/assert";\nassert(x);\n',
    }),
    [],
  );
});

Deno.test("checkLayers refuses a package from JSR outside of cli/", () => {
  assertEquals(
    check({ "server.ts": 'import { assert } from "@std/assert";\nassert(1);\n' }),
    ['server.ts: imports "@std/assert" from JSR, which only cli/ may'],
  );
});

Deno.test("checkLayers refuses every form of import that points up", () => {
  const server = "export const serve = 1;\nexport type Options = 1;\n";
  const fault = ["errors.ts: layer 0 imports server.ts of layer 5"];
  for (
    const source of [
      'import { serve } from "./server.ts";\n',
      'import {\n  serve,\n} from "./server.ts";\n',
      'import * as server from "./server.ts";\n',
      'import type { Options } from "./server.ts";\n',
      'import "./server.ts";\n',
      'export * from "./server.ts";\n',
      'export { serve } from "./server.ts";\n',
      'export type { Options } from "./server.ts";\n',
      'const { serve } = await import("./server.ts");\n',
    ]
  ) assertEquals(check({ "errors.ts": source, "server.ts": server }), fault, source);
});

Deno.test("checkLayers looks for no import in comments and texts", () => {
  assertEquals(
    check({
      "errors.ts":
        '/**\n * ```ts\n * import { serve } from "./server.ts";\n * ```\n */\n// import "./server.ts";\nexport const text = `\nimport "./server.ts"`;\n'
          .replace('`\nimport "./server.ts"`', "'import \"./server.ts\"'"),
      "server.ts": "export const serve = 1;\n",
    }),
    [],
  );
});

Deno.test("checkLayers refuses a file without a layer", () => {
  assertEquals(check({ "helpers.ts": "", "odd/thing.ts": "" }), [
    "helpers.ts: has no layer; give it one in tools/check_layers.ts",
    "odd/thing.ts: has no layer; give it one in tools/check_layers.ts",
  ]);
});

Deno.test("checkLayers refuses imports of what is not in the library", () => {
  assertEquals(
    check({
      "client.ts":
        'import "./tests/support/clock.ts";\nimport { x } from "@parley/parley";\nx();\n',
    }),
    [
      "client.ts: imports tests/support/clock.ts, which is no file of the library",
      'client.ts: imports "@parley/parley", not a file',
    ],
  );
});

Deno.test("checkLayers refuses waiting, timers and Deno in pure files only", () => {
  const source = "setTimeout(() => Deno.pid, 1);\nawait 1;\n";
  assertEquals(check({ "framing.ts": source }), [
    'framing.ts: uses "setTimeout" in pure layer 1',
    'framing.ts: uses "Deno." in pure layer 1',
    'framing.ts: uses "await" in pure layer 1',
  ]);
  assertEquals(check({ "tls/load.ts": source, "limits/descriptors.ts": source }), []);
  assertEquals(
    check({ "framing.ts": '// await Deno.\nexport const help = "await Deno.listen()";\n' }),
    [],
  );
});

Deno.test("checkLayers leaves sockets to net", () => {
  const source = 'import net from "node:net";\nnet.connect(1);\nDeno.listen({ port: 0 });\n';
  assertEquals(check({ "net/socket/tcp.ts": source }), []);
  assertEquals(check({ "server.ts": source }), [
    'server.ts: imports "node:net", which only net/ may',
    'server.ts: uses "Deno.listen", which only net/ may',
  ]);
});

Deno.test("checkLayers reports each circle of imports once, types included", () => {
  const files = {
    "connection/a.ts": 'import { b } from "./b.ts";\nexport const a = b;\n',
    "connection/b.ts": 'import { c } from "./c.ts";\nexport const b = c;\n',
    "connection/c.ts": 'import { a } from "./a.ts";\nexport const c = () => a;\n',
  };
  const circle = [
    "Circle: connection/a.ts imports connection/b.ts; connection/b.ts imports connection/c.ts; " +
    "connection/c.ts imports connection/a.ts",
  ];
  assertEquals(check(files), circle);
  assertEquals(
    check({
      ...files,
      "connection/c.ts": 'import type { a } from "./a.ts";\nexport type C = typeof a;\n',
    }),
    circle,
  );
});

Deno.test("checkLayers reports a circle of folders, where a face is a place of its own", () => {
  const files = {
    "wire/join.ts": 'import { b } from "./session/link.ts";\nexport const a = b;\n',
    "wire/session/link.ts": "export const b = 1;\n",
    "wire/session/other.ts": 'import { c } from "../plan.ts";\nexport const d = c;\n',
    "wire/plan.ts": "export const c = 1;\n",
  };
  assertEquals(check(files), [
    "Circle: wire/join.ts imports wire/session/link.ts; wire/session/other.ts imports wire/plan.ts",
  ]);
  assertEquals(
    check({
      "wire/mod.ts": 'export { d } from "./tunnel/expose.ts";\n',
      "wire/join.ts": "export const a = 1;\n",
      "wire/tunnel/expose.ts": 'import { a } from "../join.ts";\nexport const d = a;\n',
    }),
    [],
  );
});

Deno.test("checkLayers refuses a folder of more than 24 files", () => {
  const files = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`limits/f${i}.ts`, ""]));
  assertEquals(check(files(24)), []);
  assertEquals(check(files(25)), ["limits/: 25 files, of at most 24"]);
});

Deno.test("checkLayers refuses a file of more than 400 lines", () => {
  assertEquals(check({ "errors.ts": "\n".repeat(399) + "const a = 1;\n" }), []);
  assertEquals(check({ "errors.ts": "\n".repeat(400) + "const a = 1;\n" }), [
    "errors.ts: 401 lines, of at most 400",
  ]);
});

Deno.test("codeOnly drops comments, texts and expressions, and keeps what templates compute", () => {
  const cases: [string, string][] = [
    ['a("// no comment") + b', 'a("") + b'],
    ["a(/\"/) + 'b' // c", 'a( ) + ""  '],
    ["a / b / c", "a / b / c"],
    ["`text ${a + b} text`", "a + b"],
    ['"\\"" + a', '"" + a'],
    ['return /[/"]/.test(a)', "return  .test(a)"],
    ["/* ' */ a", "  a"],
  ];
  for (const [source, code] of cases) assertEquals(codeOnly(source), code, source);
});

Deno.test("importsOf tells types from code", () => {
  assertEquals(
    importsOf('import type { A } from "./a.ts";\nexport { type B, b } from "./b.ts";\n'),
    [
      { specifier: "./a.ts", typeOnly: true },
      { specifier: "./b.ts", typeOnly: false },
    ],
  );
});
