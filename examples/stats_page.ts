// An echo server that shows what it does: a live page for people, metrics for Prometheus, probes
// for whatever runs it.
//
//   deno run --allow-net examples/stats_page.ts 5555 9100
//
// Open http://127.0.0.1:9100/ in a browser; scrape http://127.0.0.1:9100/metrics; ask /healthz and
// /readyz. On SIGTERM or Ctrl-C the server drains: /readyz says no from that moment on, and the
// page shows what is still open.
import { delimited, ParleyError, serve } from "@parley/parley";
import { serveStats } from "@parley/parley/stats";

const [port = "5555", statsPort = "9100"] = Deno.args;

const server = serve({ port: Number(port), framing: delimited("\n") }, async (conn) => {
  for await (const line of conn) await conn.send(line);
});
await server.ready;
console.log("Listening on", server.addr);

// Sources have names of your choice; a pool, a hub or a client can stand beside the server.
await using page = serveStats({ echo: server }, { port: Number(statsPort), title: "Echo" });
await page.ready;
console.log("Statistics on", page.url);

const stop = () =>
  void server.shutdown().catch((error: unknown) => {
    if (!(error instanceof ParleyError)) throw error;
    console.error(`${error.code}: ${error.message}`);
  });
Deno.addSignalListener("SIGINT", stop);
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", stop);

await server.finished;
Deno.removeSignalListener("SIGINT", stop);
if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGTERM", stop);
