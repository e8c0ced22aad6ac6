// Runs the races of IPC against the raw loop, vscode-jsonrpc, and plain against encrypted.
// `--seconds 1 --pairs 5 --json --only 'one-way 64 B'`
import { parseArgs } from "@std/cli/parse-args";
import {
  canPin,
  firstLine,
  median,
  type Outcome,
  race,
  result,
  row,
  start,
  stop,
} from "../race.ts";
import type { Plan } from "./load.ts";

const flags = parseArgs(Deno.args, { string: ["seconds", "pairs", "only"], boolean: ["json"] });
const seconds = Number(flags.seconds ?? 1);
const pairs = Number(flags.pairs ?? 5);
const folder = await Deno.makeTempDir({ prefix: "parley-race-" });
const outcomes: Outcome[] = [];
let runs = 0;

async function rate(contestant: string, plan: Plan): Promise<number> {
  const path = `${folder}/${runs++}.sock`;
  const server = start(0, "ipc/server.ts", [contestant, path]);
  try {
    await firstLine(server);
    return (await result<{ rate: number }>(
      start(1, "ipc/load.ts", [contestant, path, JSON.stringify(plan)]),
    ))
      .rate;
  } finally {
    await stop(server);
  }
}

async function compare(ours: string, theirs: string, plan: Plan): Promise<void> {
  const { kind, inFlight, messageBytes } = plan;
  const subject = `${ours}: ${kind} ${messageBytes} B${
    kind === "query" ? `, ${inFlight} in flight` : ""
  }`;
  if (flags.only !== undefined && !`${subject} (${theirs})`.includes(flags.only)) return;
  const unit = kind === "query" ? "q/s" : "msg/s";
  const outcome = await race(
    subject,
    unit,
    pairs,
    () => rate(ours, plan),
    theirs,
    () => rate(theirs, plan),
  );
  outcomes.push(outcome);
  console.error(row(outcome));
}

try {
  console.error(
    `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores, ` +
      (canPin() ? "server on core 0 and load on core 1" : "not pinned") +
      `; ${pairs} pairs of ${seconds} s in turns.\nRatio of the turns to the baseline, median (spread), then the medians:`,
  );
  for (const inFlight of [1, 64]) {
    const plan: Plan = { kind: "query", inFlight, messageBytes: 64, seconds };
    for (const ours of ["parley", "parley-plain"]) {
      await compare(ours, "raw", plan);
      await compare(ours, "jsonrpc", plan);
    }
  }
  for (const messageBytes of [64, 1024, 65_536, 1_048_576]) {
    const plan: Plan = { kind: "one-way", inFlight: 1, messageBytes, seconds };
    await compare("parley-plain", "raw", plan);
    await compare("parley", "parley-plain", plan);
    if (messageBytes <= 1024) await compare("parley", "jsonrpc", plan);
  }
  if (flags.json) {
    console.log(
      JSON.stringify(outcomes.map((one) => ({ ...one, median: median(one.ours) })), null, 2),
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
