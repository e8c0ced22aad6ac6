// A contract of 500 calls, answered and called in full, type-checks in a few seconds.
import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import { file } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const CALLS = 500;

/**
 * Most time of the processor in ms that they may take. They take 7 s, of which a contract of five
 * takes 4; on a machine that is busy the same work takes several times as long.
 */
const MOST_MS = 25_000;

/** A program with a contract of so many calls of each sort, a handler for each, and each called. */
function programOf(calls: number): string {
  const numbers = Array.from({ length: calls }, (_, index) => index);
  const lines = (line: (number: number) => string) => numbers.map(line).join("\n");
  return `
import { answer, type AnswerTarget, call, caller, type CallVia, collect, contract, feed, talk } from "@parley/parley/calls";
import { z } from "zod";

declare const target: AnswerTarget;
declare const via: CallVia;

const many = contract({
${lines(definition)}
}, { name: "many", version: "1.0" });

answer(target, many, {
${lines(handler)}
});

const remote = caller(via, many);
${lines(use)}
`;
}

function definition(n: number): string {
  switch (n % 5) {
    case 0:
      return `c${n}: call<{ a${n}: number }, { b${n}: string }>({ idempotent: true }),`;
    case 1:
      return `c${n}: call({ input: z.object({ a${n}: z.number() }), output: z.object({ b${n}: z.string() }), errors: { ERR_${n}: z.object({ d${n}: z.number() }) } }),`;
    case 2:
      return `c${n}: feed({ input: z.object({ a${n}: z.number() }), output: z.string() }),`;
    case 3:
      return `c${n}: collect<{ a${n}: number }, string>(),`;
    default:
      return `c${n}: talk({ input: z.string().transform((s) => s.length), output: z.number() }),`;
  }
}

function handler(n: number): string {
  switch (n % 5) {
    case 0:
    case 1:
      return `c${n}: ({ a${n} }) => ({ b${n}: \`\${a${n}}\` }),`;
    case 2:
      return `async *c${n}({ a${n} }, { signal }) { if (!signal.aborted) yield \`\${a${n}}\`; },`;
    case 3:
      return `async c${n}(values) { for await (const { a${n} } of values) if (a${n} > 1) return "x"; return "y"; },`;
    default:
      return `async *c${n}(values) { for await (const value of values) yield value + 1; },`;
  }
}

function use(n: number): string {
  switch (n % 5) {
    case 0:
    case 1:
      return `(await remote.c${n}({ a${n}: 1 })).b${n}.trim();`;
    case 2:
      return `for await (const item of remote.c${n}({ a${n}: 1 })) item.trim();`;
    case 3:
      return `(await remote.c${n}([{ a${n}: 1 }])).trim();`;
    default:
      return `for await (const item of remote.c${n}(["text"])) item.toFixed();`;
  }
}

/**
 * Checks the program from its source, however often that was done before; returns the time of the
 * processor in ms, because a machine may be busy with other work.
 */
async function check(program: string): Promise<number> {
  await using folder = new TempDir();
  const path = `${folder.path}/program.ts`;
  // No two programs are the same: Deno remembers what it has checked.
  await Deno.writeTextFile(path, `${program}\n// ${crypto.randomUUID()}\n`);
  const { success, stdout, stderr } = await new Deno.Command("sh", {
    args: [
      ...["-c", '"$@" && times', "sh"],
      ...[Deno.execPath(), "check", "--quiet", "--config", file("deno.json"), path],
    ],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const [, ofChildren = ""] = new TextDecoder().decode(stdout).trim().split("\n");
  const times = [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)];
  assert(times.length === 2, `"times" printed ${ofChildren}`);
  return times.reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60e3 + Number(seconds) * 1e3,
    0,
  );
}

Deno.test({
  name: "a contract of 500 calls type-checks within seconds",
  ignore: Deno.build.os === "windows", // no sh there
  async fn() {
    const ms = await check(programOf(CALLS));
    assert(ms < MOST_MS, `${CALLS} calls take ${ms} ms`);
  },
});
