// An echo server on every core: threads that share one port, and are one server to their owner.
//
//   deno run --allow-net --allow-read examples/workers_server.ts 5555
//
// Then talk to it with echo_client.ts. With --unstable-net it runs on Deno's own sockets, which are
// a little faster than those of node:net.
import { serveWorkers } from "@parley/parley";

const port = Number(Deno.args[0] ?? 5555);

const server = await serveWorkers(new URL("./workers_handler.ts", import.meta.url), { port });
console.log("Listening on", server.addr, "with", server.workers, "workers");

Deno.addSignalListener("SIGTERM", async () => {
  await server.shutdown();
  const { connectionsOpened, messagesIn } = server.stats().overall;
  console.log(`Served ${connectionsOpened} connections, ${messagesIn} messages`);
  Deno.exit();
});
