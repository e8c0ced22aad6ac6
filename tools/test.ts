// Runs every test and every documented example: one process for each processor, then what measures
// time, alone.
//
// With arguments it is `deno test --doc` and hands them on: a path, --filter, --shuffle.

import { availableParallelism } from "node:os";
import { findFiles, ROOT } from "./source_files.ts";
import { addCounts, type Counts, countsOf, NO_COUNTS, summaryLine, withoutSummary } from "./test_summary.ts";

/**
 * Files whose tests compare times: they are made to pass on a busy machine, but measure best when
 * they are alone. All others run side by side.
 */
const ALONE: readonly string[] = [
  "tests/attacks/input_test.ts",
  "tests/mux/idle_streams_test.ts",
  "tests/mux/stall_test.ts",
  "tests/pool/chaos_test.ts",
  "tests/wire/hostile_test.ts",
];

/**
 * Folders of tests that need servers of others and take long: a task of its own runs each, and
 * `.ci/run` runs that too.
 */
const OWN_TASKS: readonly string[] = ["tests/balancers/"];

/** Most files of one process; each costs a start, and the last ones to end should not be long. */
const FILES_AT_ONCE = 6;

/** Longest time in ms that one process may run, so that a hanging one is reported. */
const LIMIT_MS = 480_000;

/** What one process runs. */
interface Batch {
  readonly name: string;
  readonly args: readonly string[];
}

interface BatchResult {
  readonly counts: Counts;
  readonly output: string;
}

/** Test files of each folder in small batches. */
function fileBatches(): Batch[] {
  const byFolder = Map.groupBy(
    findFiles("_test.ts").filter((path) =>
      !ALONE.includes(path) && !OWN_TASKS.some((folder) => path.startsWith(folder))
    ),
    (path) => path.slice(0, path.lastIndexOf("/")),
  );
  return [...byFolder].flatMap(([folder, files]) =>
    Array.from({ length: Math.ceil(files.length / FILES_AT_ONCE) }, (_, i) => ({
      name: folder,
      args: files.slice(i * FILES_AT_ONCE, (i + 1) * FILES_AT_ONCE),
    }))
  );
}

async function runBatch({ name, args }: Batch): Promise<BatchResult> {
  const start = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", ...args],
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

async function testAll(): Promise<boolean> {
  const start = performance.now();
  // Loads what is needed and checks all types, those of the examples too, once.
  if (!await forward(["--no-run"])) return false;
  const examples: Batch = { name: "examples in the documentation", args: ["--doc", "--ignore=tests", "."] };
  // One more than there are processors: tests wait half of their time, for timers, other processes
  // and the kernel.
  const results = await runAll([examples, ...fileBatches()], availableParallelism() + 1);
  results.push(...await runAll(ALONE.map((path) => ({ name: path, args: [path] })), 1));
  for (const { output } of results) if (output !== "") console.error(output.trimEnd());
  const counts = results.map((result) => result.counts).reduce(addCounts, NO_COUNTS);
  console.log(`\n${summaryLine(counts, performance.now() - start)}`);
  return counts.failed === 0;
}

if (import.meta.main) {
  const ok = Deno.args.length > 0 ? await forward(["-A", ...Deno.args]) : await testAll();
  if (!ok) Deno.exit(1);
}
