// The handler of workers_server.ts: each of its threads loads this module.
//
//   deno run --allow-net --allow-read examples/workers_server.ts 5555
import type { Connection, WorkerModuleOptions, WorkerStart } from "@parley/parley";

/** Options that hold functions or classes, such as a framing, and what a thread needs of its own. */
export function options({ worker }: WorkerStart): WorkerModuleOptions {
  return {
    onConnect: ({ remoteAddr }) => console.log("Hello", remoteAddr, "from worker", worker),
  };
}

export default async function echo(conn: Connection): Promise<void> {
  for await (const message of conn) await conn.send(message);
}
