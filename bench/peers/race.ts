// Race: runs two programs in turns, and prints the ratio of their results, with its spread.

/** A core to pin a process to; `null` where `taskset` is not at hand. */
type Core = 0 | 1 | null;

let taskset: boolean | undefined;

/** Whether processes can be pinned to cores. */
export function canPin(): boolean {
  if (taskset === undefined) {
    try {
      taskset =
        new Deno.Command("taskset", { args: ["-V"], stdout: "null", stderr: "null" }).outputSync()
          .success &&
        navigator.hardwareConcurrency > 1;
    } catch {
      taskset = false;
    }
  }
  return taskset;
}

/** What runs a program of this folder, unless a race says otherwise. */
const DENO: readonly string[] = [Deno.execPath(), "run", "-A", "--no-check"];

/** Starts a program of this folder, pinned to a core. */
export function start(
  core: Core,
  file: string,
  args: readonly string[],
  runtime: readonly string[] = DENO,
): Deno.ChildProcess {
  const program = [...runtime, new URL(file, import.meta.url).pathname, ...args];
  const line = core !== null && canPin() ? ["taskset", "-c", String(core), ...program] : program;
  return new Deno.Command(line[0]!, { args: line.slice(1), stdout: "piped", stderr: "inherit" })
    .spawn();
}

/** Reads the first line that a program prints. */
export async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The program ended before it said anything: "${text}"`);
    text += value;
  }
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return text.slice(0, text.indexOf("\n"));
}

/** Ends a program that we started. */
export async function stop(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await child.status;
}

/** Runs a program to its end and returns what it printed, as JSON. */
export async function result<T>(child: Deno.ChildProcess): Promise<T> {
  const text = await new Response(child.stdout).text();
  const { success } = await child.status;
  if (!success) throw new Error(`A load program failed: "${text.slice(0, 200)}"`);
  return JSON.parse(text) as T;
}

/** What one contestant reached, and how it stands to the baseline of the same run. */
export interface Outcome {
  /** What was measured. */
  readonly subject: string;
  /** Name of the baseline. */
  readonly baseline: string;
  /** Unit of the values. */
  readonly unit: string;
  /** Each turn's value. */
  readonly ours: readonly number[];
  /** Each turn's value of the baseline. */
  readonly theirs: readonly number[];
  /** Median of the ratios of the turns. */
  readonly ratio: number;
  /** Least and greatest of them. */
  readonly spread: readonly [number, number];
}

/** Runs both in turns, `pairs` times, and compares. */
export async function race(
  subject: string,
  unit: string,
  pairs: number,
  ours: () => Promise<number>,
  baseline: string,
  theirs: () => Promise<number>,
): Promise<Outcome> {
  const a: number[] = [];
  const b: number[] = [];
  for (let turn = 0; turn < pairs; turn++) {
    b.push(await theirs());
    a.push(await ours());
  }
  return compare(subject, unit, a, baseline, b);
}

/** Compares what both reached, turn by turn. */
export function compare(
  subject: string,
  unit: string,
  ours: readonly number[],
  baseline: string,
  theirs: readonly number[],
): Outcome {
  const ratios = ours.map((value, index) => value / theirs[index]!).sort((x, y) => x - y);
  return {
    subject,
    baseline,
    unit,
    ours,
    theirs,
    ratio: median(ratios),
    spread: [ratios[0]!, ratios.at(-1)!],
  };
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One line for people. */
export function row(outcome: Outcome): string {
  const { subject, baseline, unit, ours, theirs, ratio, spread } = outcome;
  return [
    subject.padEnd(46),
    `${ratio.toFixed(2)} x`.padStart(8),
    `${spread[0].toFixed(2)}–${spread[1].toFixed(2)}`.padStart(12),
    `  ${format(median(ours))} to ${format(median(theirs))} ${unit} (${baseline})`,
  ].join("");
}

function format(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
  return value.toFixed(value < 10 ? 2 : 0);
}
