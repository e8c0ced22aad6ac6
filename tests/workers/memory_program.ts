// A server of two workers with little memory; it prints what its workers die of.
import { serveWorkers } from "@parley/parley";

const server = await serveWorkers(new URL("./echo_handler.ts", import.meta.url), {
  workers: 2,
  onError: (error, { phase, lostConnections }) =>
    console.log(
      `${phase}: ${error instanceof Error ? error.message : error}; lost ${lostConnections}`,
    ),
});
const { addr } = server;
console.log("Listening on", addr);
