// Handler of the servers of workers: returns each message, after some arithmetic where it is asked for.
import type { Connection } from "../../../connection.ts";
import type { WorkerStart } from "../../../workers/module.ts";
import type { WorkerModuleOptions } from "../../../workers/options.ts";

let steps = 0;

/** Learns how much arithmetic there is. */
export function options({ input }: WorkerStart): WorkerModuleOptions {
  steps = input as number;
  return {};
}

function calculate(seed: number): number {
  let sum = seed;
  for (let step = 0; step < steps; step++) sum = (Math.imul(sum, 31) + step) | 0;
  return sum;
}

/** Returns each message. */
export default async function (conn: Connection): Promise<void> {
  for await (const batch of conn.batches()) {
    let last: Promise<void> | undefined;
    for (const message of batch) {
      // It is never that; so no step is left out.
      if (calculate(message[0]!) === 0.5) throw new Error("Arithmetic has failed");
      last = conn.send(message);
    }
    await last;
  }
}
