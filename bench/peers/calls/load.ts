// Load of the race of calls, under Deno or Node: `load.ts <contestant> <address> <json>` calls, checks
// every answer, prints what it measured as JSON.
import process from "node:process";
import { Meter } from "../meter.ts";
import type { Contestant } from "./contestants/contestant.ts";

/** What to do. */
export interface Plan {
  readonly inFlight: number;
  readonly messageBytes: number;
  readonly seconds: number;
  /** Process of the server, whose processor time is measured with ours. */
  readonly serverPid: number;
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
const meter = new Meter(plan.serverPid);
const end = performance.now() + plan.seconds * 1000;
console.log(JSON.stringify(meter.read(await run(() => performance.now() < end))));
process.exit(0);
