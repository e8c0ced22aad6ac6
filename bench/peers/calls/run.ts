// Runs the races of typed calls: over IPC, and over TCP; processor time of a call beside its rate.
// `--seconds 1 --pairs 5 --json --only 'unix, 64' --deno-only`
import { parseArgs } from "@std/cli/parse-args";
import {
  canPin,
  compare,
  firstLine,
  median,
  type Outcome,
  result,
  row,
  start,
  stop,
} from "../race.ts";
import { prepareNode } from "./node.ts";
import type { Plan, Result } from "./load.ts";

const flags = parseArgs(Deno.args, {
  string: ["seconds", "pairs", "only"],
  boolean: ["json", "deno-only"],
});
const seconds = Number(flags.seconds ?? 1);
const pairs = Number(flags.pairs ?? 5);
const folder = await Deno.makeTempDir({ prefix: "parley-race-" });
const outcomes: Outcome[] = [];
let runs = 0;

/** A program and what runs it. */
interface Entry {
  readonly contestant: string;
  readonly on: "deno" | "node";
}

/** Entries that take turns; each of the first is compared to each of the second. */
interface Group {
  readonly carrier: string;
  readonly ours: readonly string[];
  readonly theirs: readonly Entry[];
}

const node = flags["deno-only"] ? null : await prepareNode(folder);

/** A peer under each runtime that is at hand: the claim is made against the faster. */
function peer(contestant: string): Entry[] {
  return [{ contestant, on: "deno" }, ...node ? [{ contestant, on: "node" } as const] : []];
}

const GROUPS: readonly Group[] = [
  {
    carrier: "unix",
    ours: ["ipc"],
    theirs: [...peer("jsonrpc"), { contestant: "query", on: "deno" }],
  },
  {
    carrier: "tcp",
    ours: ["connection", "wire"],
    theirs: [...peer("grpc"), ...peer("connect")],
  },
];

/** Runs a server and its load once. */
async function turn({ contestant, on }: Entry, inFlight: number): Promise<Result> {
  const launch = (core: 0 | 1, file: string, args: readonly string[]) =>
    on === "node"
      ? start(core, `${node!.programs}/${file}`, args, [node!.node])
      : start(core, `calls/${file}`, args);
  const server = launch(0, "server.ts", [contestant, `${folder}/${runs++}.sock`]);
  try {
    const address = await firstLine(server);
    const plan: Plan = { inFlight, messageBytes: 64, seconds, serverPid: server.pid };
    const load = launch(1, "load.ts", [contestant, address, JSON.stringify(plan)]);
    const timer = setTimeout(() => load.kill("SIGKILL"), seconds * 1000 + 30_000);
    try {
      return await result<Result>(load);
    } finally {
      clearTimeout(timer);
    }
  } finally {
    await stop(server);
  }
}

/** Lets all of a group take turns, then compares. */
async function raceGroup({ carrier, ours, theirs }: Group, inFlight: number): Promise<void> {
  const name = `${carrier}, ${inFlight} in flight`;
  if (flags.only !== undefined && !name.includes(flags.only)) return;
  const entries = [
    ...theirs,
    ...ours.map((contestant): Entry => ({ contestant, on: "deno" })),
  ];
  const results = new Map<Entry, Result[]>(entries.map((entry) => [entry, []]));
  for (let pair = 0; pair < pairs; pair++) {
    for (const entry of entries) results.get(entry)!.push(await turn(entry, inFlight));
  }
  for (const entry of entries) {
    const { contestant, on } = entry;
    console.error(
      `${name}: ${contestant} (${on})`.padEnd(46) +
        spread(results.get(entry)!.map(({ perSecond }) => perSecond)) + " calls/s, " +
        spread(results.get(entry)!.map((one) => one.loadMicros + one.serverMicros)) +
        " µs of processor time a call",
    );
  }
  for (const entry of entries.filter(({ contestant }) => ours.includes(contestant))) {
    for (const other of theirs) tell(name, entry, results.get(entry)!, other, results.get(other)!);
  }
}

/** Compares rates and processor time of two. */
function tell(
  name: string,
  entry: Entry,
  own: readonly Result[],
  other: Entry,
  base: readonly Result[],
): void {
  const subject = `${name}: ${entry.contestant}`;
  const baseline = `${other.contestant}, ${other.on}`;
  const rate = (one: Result) => one.perSecond;
  const micros = (one: Result) => one.loadMicros + one.serverMicros;
  for (
    const outcome of [
      compare(subject, "calls/s", own.map(rate), baseline, base.map(rate)),
      compare(subject, "µs/call", own.map(micros), baseline, base.map(micros)),
    ]
  ) {
    outcomes.push(outcome);
    console.error(row(outcome));
  }
}

function spread(values: readonly number[]): string {
  return `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}–${
    Math.max(...values).toFixed(0)
  })`;
}

try {
  console.error(
    `Deno ${Deno.version.deno}, ${node ? `Node ${node.version}` : "without Node"}, ` +
      `${navigator.hardwareConcurrency} cores, ` +
      (canPin() ? "server on core 0 and load on core 1" : "not pinned") +
      `; ${pairs} turns of ${seconds} s each, load average ${Deno.loadavg()[0]!.toFixed(1)}.\n` +
      `Each's median (spread), then ours to the baseline: of rates more is better, of µs less is.`,
  );
  for (const inFlight of [1, 64]) {
    for (const group of GROUPS) await raceGroup(group, inFlight);
  }
  if (flags.json) {
    console.log(
      JSON.stringify(outcomes.map((one) => ({ ...one, median: median(one.ours) })), null, 2),
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
