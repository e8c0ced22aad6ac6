// Runs every test and every documented example: one process for each processor, then what measures
// time, alone.
//
// With `--no-check` alone it leaves out the types, which the gate has checked before. With other
// arguments it is `deno test --doc` and hands them on: a path, --filter, --shuffle.

import { availableParallelism } from "node:os";
import { findExamples, writeExamples } from "./examples.ts";
import { findFiles, ROOT } from "./source_files.ts";
import {
  addCounts,
  type Counts,
  countsOf,
  NO_COUNTS,
  summaryLine,
  withoutSummary,
} from "./test_summary.ts";

/**
 * Files whose tests compare times, or measure the memory of their own process: they are made to
 * pass on a busy machine, but measure best when they are alone. All others run side by side.
 */
const ALONE: readonly string[] = [
  "tests/attacks/input_test.ts",
  "tests/cli/commands/demo_test.ts",
  "tests/bench/echo_cost_test.ts",
  "tests/connection/kept_test.ts",
  "tests/mux/idle_streams_test.ts",
  "tests/mux/stall_test.ts",
  "tests/pool/chaos_test.ts",
  "tests/wire/hostile_test.ts",
];

/**
 * Tests that need servers of others, or take long: the tasks balancers, carriers and models run
 * them, and `.ci/run` runs those too.
 */
const OWN_TASKS: readonly string[] = [
  "tests/balancers/",
  "tests/calls/carriers_test.ts",
  "tests/calls/ends_test.ts",
  "tests/calls/given_up_test.ts",
  "tests/models/",
  "tests/types/many_calls_test.ts",
  "tests/types/messages_test.ts",
];

/** Rooms of tests that take long: they come first, so that none of them runs alone at the end. */
const LONG: readonly string[] = [
  "tests/cli",
  "tests/calls",
  "tests/examples",
  "tests/ipc",
  "tests/net",
];

/** Most files of one process; each process costs a start, and the last ones to end should not be long. */
const FILES_AT_ONCE = 8;

/** Longest time in ms that one process may run, so that a hanging one is reported. */
const LIMIT_MS = 480_000;

/** What one process runs. */
interface Batch {
  readonly name: string;
  /** A module with tests. */
  readonly path: string;
}

interface BatchResult {
  readonly counts: Counts;
  readonly output: string;
}

/**
 * Test files of each room in small batches, each by a module in `folder` that imports them: Deno
 * starts anew for each file that it is given, and most of what a test file costs is to load the
 * library.
 */
function fileBatches(folder: string): Batch[] {
  const isOurs = (path: string) =>
    !ALONE.includes(path) && !OWN_TASKS.some((start) => path.startsWith(start));
  const byFolder = Map.groupBy(
    findFiles("_test.ts").filter(isOurs),
    (path) => path.split("/").slice(0, -1).slice(0, 2).join("/"),
  );
  const rank = (name: string) => LONG.includes(name) ? LONG.indexOf(name) : LONG.length;
  const folders = [...byFolder].sort(([a], [b]) => rank(a) - rank(b));
  return folders.flatMap(([name, files]) => {
    const count = Math.ceil(files.length / FILES_AT_ONCE);
    return Array.from({ length: count }, (_, i) => {
      const path = `${folder}/${name.replaceAll("/", "_")}_${i}_test.ts`;
      const imports = files.filter((_, at) => at % count === i).map((file) =>
        `import "${new URL(file, ROOT)}";\n`
      );
      Deno.writeTextFileSync(path, imports.join(""));
      return { name, path };
    });
  });
}

async function runBatch({ name, path }: Batch): Promise<BatchResult> {
  const start = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--config", "deno.json", path],
    cwd: ROOT,
    env: { NO_COLOR: "1" }, // the summaries are read
    stdin: "null",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const [told, text] = [countsOf(said), withoutSummary(said).trim()];
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`\n===== ${name}, ${seconds} s\n${text}`);
  // A file that cannot be loaded, or a process that was ended, reports no failed test.
  const counts = success || told.failed > 0 ? told : addCounts(told, { ...NO_COUNTS, failed: 1 });
  return {
    counts,
    output: success ? "" : `\n===== ${name}\n${text.slice(Math.max(0, text.indexOf(" ERRORS ")))}`,
  };
}

/** Runs batches, as many at a time as there are workers. */
async function runAll(batches: readonly Batch[], workers: number): Promise<BatchResult[]> {
  const queue = batches.values();
  const results: BatchResult[] = [];
  const work = async () => {
    for (const batch of queue) results.push(await runBatch(batch));
  };
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}

/** Runs `deno test` with these arguments in place of this process. */
async function forward(args: readonly string[]): Promise<boolean> {
  const options = { args: ["test", "--doc", ...args], cwd: ROOT };
  const { success } = await new Deno.Command(Deno.execPath(), options).spawn().status;
  return success;
}

async function testAll(hasTypes: boolean): Promise<boolean> {
  const start = performance.now();
  // Loads what is needed and checks all types, those of the examples too, once.
  if (!hasTypes && !await forward(["--no-run"])) return false;
  const folder = Deno.makeTempDirSync({ prefix: "parley-test-" });
  const results = await runBatches(folder).finally(() =>
    Deno.removeSync(folder, { recursive: true })
  );
  for (const { output } of results) if (output !== "") console.error(output.trimEnd());
  const counts = results.map((result) => result.counts).reduce(addCounts, NO_COUNTS);
  console.log(`\n${summaryLine(counts, performance.now() - start)}`);
  return counts.failed === 0;
}

/** Runs everything; its modules are written to `folder`. */
async function runBatches(folder: string): Promise<BatchResult[]> {
  const examples = {
    name: "examples in the documentation",
    path: writeExamples(findExamples(), folder),
  };
  // Two more than there are processors: tests wait half of their time, for timers, other processes
  // and the kernel.
  const results = await runAll([...fileBatches(folder), examples], availableParallelism() + 2);
  results.push(...await runAll(ALONE.map((path) => ({ name: path, path })), 1));
  return results;
}

if (import.meta.main) {
  const hasTypes = Deno.args.length === 1 && Deno.args[0] === "--no-check";
  const runsAll = Deno.args.length === 0 || hasTypes;
  const ok = runsAll ? await testAll(hasTypes) : await forward(["-A", ...Deno.args]);
  if (!ok) Deno.exit(1);
}
