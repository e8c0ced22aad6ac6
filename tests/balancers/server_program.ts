// A server behind a balancer, as docs/operations.md has it: it answers what it is asked, and drains
// at SIGTERM.
//
// deno run -A tests/balancers/server_program.ts PORT STATS_PORT DRAIN_DELAY_MS; it prints both
// ports, and at its end what it has answered.
import { delimited, serve } from "@parley/parley";
import { serveStats } from "@parley/parley/stats";

const [port = 0, statsPort = 0, drainDelayMs = 0] = Deno.args.map(Number);
let answered = 0;

const server = serve({
  port,
  framing: delimited("\n"),
  proxyProtocol: { sources: ["127.0.0.1"] },
  // All clients come from one address here, at once after a restart.
  limitLoopback: true,
  maxPendingPerSource: 64,
  drainDelayMs,
}, async (conn) => {
  for await (const question of conn) {
    await conn.send(`${Deno.pid} ${new TextDecoder().decode(question)}`);
    answered++;
  }
});
await server.ready;
const page = serveStats({ server }, { port: statsPort, allowedHosts: ["orders"] });
await page.ready;
console.log(`port: ${(server.addr as Deno.NetAddr).port} stats: ${new URL(page.url).port} .`);

Deno.addSignalListener("SIGTERM", async () => {
  try {
    await server.shutdown({ timeoutMs: 10_000 });
    console.log(`answered: ${answered} .`);
    Deno.exit(0);
  } catch (error) {
    console.error(error);
    Deno.exit(1);
  }
});
