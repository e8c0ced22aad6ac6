// What the compiler says of wrong programs: each message names what is wrong, and shows types that a
// reader understands. Hovering shows the same types.
import { assert, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { file } from "../support/programs/program.ts";
import { TempDir } from "../support/programs/temp_dir.ts";

const PROGRAM = `
import { answer, type AnswerTarget, call, caller, type CallVia, collect, contract, feed } from "@parley/parley/calls";
import { z } from "zod";

declare const target: AnswerTarget;
declare const via: CallVia;
const clock = contract({
  now: call<void, string>(),
  add: call({ input: z.object({ a: z.number(), b: z.number() }), output: z.number() }),
  ticks: feed({ input: z.object({ everyMs: z.number() }), output: z.string() }),
  sum: collect({ input: z.number(), output: z.number() }),
});
const remote = caller(via, clock);
const handlers = { now: () => "", add: () => 1, ticks: () => [""], sum: () => 1 };
`;

/** A wrong line each, and what the compiler says of it. */
const CASES: readonly (readonly [line: string, message: RegExp])[] = [
  [
    "const hovered1: never = remote.now;",
    /Type '\(input\?: void \| undefined, options\?: CallOptions \| undefined\) => Promise<string>'/,
  ],
  [
    "const hovered2: never = remote.add;",
    /Type '\(input: { a: number; b: number; }, options\?: CallOptions \| undefined\) => Promise<number>'/,
  ],
  [
    "const hovered3: never = remote.ticks;",
    /Type '\(input: { everyMs: number; }, options\?: FeedOptions \| undefined\) => Feed<string>'/,
  ],
  [
    "const hovered4: never = remote.sum;",
    /Type '\(inputs: Inputs<number>, options\?: CallOptions \| undefined\) => Promise<number>'/,
  ],
  ["await remote.noow();", /Property 'noow' does not exist on type .*\bDid you mean 'now'\?/],
  ["await remote.add({ a: 1 });", /Property 'b' is missing in type '{ a: number; }'/],
  ["await remote.add({ a: 1, b: 2 }, { timeoutms: 1 });", /'timeoutms' does not exist in type/],
  [
    "answer(target, clock, { ...handlers, add: () => '3' });",
    /Type 'string' is not assignable to type 'number \| Promise<number>'/,
  ],
  [
    "answer(target, clock, { now: () => '', add: () => 1, ticks: () => [''] });",
    /Property 'sum' is missing in type/,
  ],
  [
    "answer(target, clock, { ...handlers, noow: () => '' });",
    /'noow' does not exist in type 'Handlers<.*|but 'noow' does not exist/,
  ],
];

Deno.test("the compiler says what is wrong with a program, in types that hovering shows", async () => {
  await using folder = new TempDir();
  const path = `${folder.path}/program.ts`;
  const lines = CASES.map(([line]) => line).join("\n");
  await Deno.writeTextFile(path, `${PROGRAM}// Wrong from here\n${lines}\n`);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", file("deno.json"), path],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: { NO_COLOR: "1" },
  }).output();
  assert(!success, "wrong lines compile");
  const first = PROGRAM.split("\n").length + 1;
  const messages = messagesByLine(new TextDecoder().decode(stderr));
  for (const [index, [line, message]] of CASES.entries()) {
    assertMatch(messages.get(first + index) ?? `no message for ${line}`, message);
  }
});

/** The text of what the compiler says, by the line that it is about. */
function messagesByLine(output: string): Map<number, string> {
  const messages = new Map<number, string>();
  for (const part of output.split(/^TS\d+ \[ERROR\]: /m).slice(1)) {
    const line = Number(/program\.ts:(\d+):\d+/.exec(part)?.[1]);
    messages.set(line, (messages.get(line) ?? "") + part);
  }
  return messages;
}
