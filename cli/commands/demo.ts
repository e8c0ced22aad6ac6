// parley demo: the main job on real input, in several processes, with every claim checked.
import { DeadlineSignal } from "../../async/deadline.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Command } from "../command/command.ts";
import { UsageError } from "../command/usage.ts";
import { runCallsPart } from "./demo/calls_part.ts";
import { Checks } from "./demo/checks.ts";
import { runFilePart, runLinesPart } from "./demo/client_parts.ts";
import { runLoadPart } from "./demo/load_part.ts";
import { type DemoFault, type Faults, runServerPart } from "./demo/server_part.ts";
import { DemoRun } from "./demo/run.ts";
import { StopSignals } from "../process/stop.ts";
import { duration, paint, print, say } from "../output/talk.ts";
import { jsonText } from "../output/json_text.ts";

/** Longest time in ms: several times what a slow machine needs. */
const DEADLINE_MS = 60_000;

const FAULTS: readonly string[] = ["file", "lost", "twice"] satisfies DemoFault[];

/** `parley demo` */
export const demoCommand: Command = {
  name: "demo",
  summary: "Show Parley at work on real input, in several processes",
  about:
    `Makes certificates, starts a TLS server and its clients as processes of their own, sends the lines of a
    text file, a file of 64 MiB, typed calls and 10,000 messages from 50 clients, drains the server under load, and checks that
    nothing was lost. Takes some seconds; leaves nothing behind.

    Exit code 0 only if every check held.`,
  operands: "",
  flags: [
    {
      name: "text",
      value: "FILE",
      about: "Text file whose lines are sent (default: Parley's README)",
    },
    { name: "json", about: "Print the result as JSON on standard output" },
    // How the demo starts its own parts, and how a test sees that it can fail.
    { name: "part", value: "NAME", about: "Part to run", hidden: true },
    { name: "folder", value: "PATH", about: "Folder of the whole run", hidden: true },
    { name: "fault", value: "NAMES", about: "Faults to make", hidden: true },
  ],
  examples: ["parley demo --text /etc/services"],
  run: runDemo,
};

async function runDemo(args: Arguments): Promise<number> {
  const faults = args.text("fault")?.split(",") ?? [];
  for (const fault of faults) {
    if (!FAULTS.includes(fault)) throw new UsageError(`There is no fault "${fault}"`);
  }
  const part = args.text("part");
  if (part !== undefined) {
    return await runPart(
      part,
      args.text("folder") ?? "",
      new Set(faults as DemoFault[]),
      args.operands,
    );
  }
  if (args.operands.length > 0) throw new UsageError(`Unexpected argument "${args.operands[0]}"`);
  return await runWhole({ text: args.text("text"), json: args.has("json"), faults });
}

/** What a process of the demo does that the demo itself has started. */
async function runPart(
  part: string,
  folder: string,
  faults: Faults,
  rest: readonly string[],
): Promise<number> {
  // Ctrl-C at a terminal reaches every process of the demo; the one that started the others ends them.
  Deno.addSignalListener("SIGINT", () => {});
  const [first = "", second = "0", third = "0", fourth = "0"] = rest;
  const port = Number(first);
  switch (part) {
    case "server":
      return await runServerPart(folder, faults);
    case "lines":
      return await runLinesPart(port, folder, second);
    case "file":
      return await runFilePart(port, folder);
    case "calls":
      return await runCallsPart(port, folder);
    case "load":
      return await runLoadPart({
        port,
        folder,
        part: Number(second),
        clients: Number(third),
        jobsEach: Number(fourth),
      });
    default:
      throw new UsageError(`The demo has no part "${part}"`);
  }
}

interface WholeOptions {
  readonly text: string | undefined;
  readonly json: boolean;
  readonly faults: readonly string[];
}

async function runWhole(options: WholeOptions): Promise<number> {
  const startedAtMs = performance.now();
  const checks = new Checks({ show: !options.json });
  const folder = await Deno.makeTempDir({ prefix: "parley-demo-" });
  using stop = new StopSignals({ beforeExit: () => Deno.removeSync(folder, { recursive: true }) });
  using deadline = new DeadlineSignal({
    signal: stop.signal,
    timeoutMs: DEADLINE_MS,
    late: () => new Error(`Not done within ${duration(DEADLINE_MS)}`),
  });
  const { signal } = deadline;
  let error: unknown = null;
  try {
    await using run = new DemoRun({ ...options, folder, checks, signal });
    await run.all();
  } catch (failure) {
    error = signal.aborted ? signal.reason : failure;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const ms = performance.now() - startedAtMs;
  if (error !== null) say(`parley demo: ${error instanceof Error ? error.message : String(error)}`);
  const held = error === null && checks.held;
  if (options.json) print(jsonText({ held, ms: Math.round(ms), checks: checks.all }, 2));
  else print(verdict(checks, held, ms));
  return held ? 0 : 1;
}

function verdict(checks: Checks, held: boolean, ms: number): string {
  if (held) return paint(`\nAll ${checks.all.length} checks held, in ${duration(ms)}.`, "bold");
  const failed = checks.all.filter((check) => !check.held).length;
  if (failed === 0) return paint(`\nThe demo did not come to its end.`, "bold");
  return paint(`\n${failed} of ${checks.all.length} checks FAILED, after ${duration(ms)}.`, "bold");
}
