// Load of the race of calls, under Deno or Node: `load.ts <contestant> <address> <json>` calls, checks
// every answer, prints JSON.
import { readFileSync } from "node:fs";
import process from "node:process";
import type { Contestant } from "./contestants/contestant.ts";

/** What to do. */
export interface Plan {
  readonly inFlight: number;
  readonly messageBytes: number;
  readonly seconds: number;
  /** Process of the server, whose processor time is measured with ours. */
  readonly serverPid: number;
}

/** What came of it. */
export interface Result {
  /** Calls a second. */
  readonly perSecond: number;
  /** Processor time of a call, in µs: of the load and of the server, all their threads. */
  readonly loadMicros: number;
  readonly serverMicros: number;
}

const [name, address, json] = process.argv.slice(2) as [string, string, string];
const plan = JSON.parse(json) as Plan;
const { contestant } = await import(`./contestants/${name}.ts`) as { contestant: Contestant };
const ask = await contestant.dial(address);
const texts = Array.from({ length: 26 }, (_, first) =>
  Array.from(
    { length: plan.messageBytes },
    (_, index) => String.fromCharCode(97 + (first + index) % 26),
  ).join(""));

/** Processor time that a process took since it began, in µs. */
function processorMicros(pid: number | "self"): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Calls while `goesOn`, as many at once as the plan says; returns how often. */
async function run(goesOn: (done: number) => boolean): Promise<number> {
  let done = 0;
  await Promise.all(Array.from({ length: plan.inFlight }, async () => {
    for (; goesOn(done); done++) {
      const text = texts[done % texts.length]!;
      if (await ask(text) !== text) throw new Error("Wrong answer");
    }
  }));
  return done;
}

/** Both runtimes compile what is called often: so many calls, or as many as there is time for. */
const WARM_UP = { calls: 10_000, atLeastMs: 500, atMostMs: 8000 };

const start = performance.now();
await run((done) => {
  const ms = performance.now() - start;
  return ms < WARM_UP.atLeastMs || done < WARM_UP.calls && ms < WARM_UP.atMostMs;
});
const [load, server] = [processorMicros("self"), processorMicros(plan.serverPid)];
const begin = performance.now();
const end = begin + plan.seconds * 1000;
const done = await run(() => performance.now() < end);
const result: Result = {
  perSecond: done / (performance.now() - begin) * 1000,
  loadMicros: (processorMicros("self") - load) / done,
  serverMicros: (processorMicros(plan.serverPid) - server) / done,
};
console.log(JSON.stringify(result));
process.exit(0);
