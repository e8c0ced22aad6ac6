// Echo server of workers: `workers.ts <workers> <steps>` prints its port; each message costs its
// handler so many steps of arithmetic.
import { serveWorkers } from "../../../workers/serve_workers.ts";

const [workers, steps] = Deno.args.map(Number) as [number, number];
const server = await serveWorkers(new URL("./workers_handler.ts", import.meta.url), {
  hostname: "127.0.0.1",
  port: 0,
  workers,
  maxConnections: 2000,
  maxPending: 2000,
  input: steps,
});
await server.ready;
console.log(server.addr.transport === "tcp" ? server.addr.port : "");
