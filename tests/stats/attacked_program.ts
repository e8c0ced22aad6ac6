// An echo server with a statistics page, for attacks on the page. Both are over with the process.
import { delimited, serve } from "@parley/parley";
import { serveStats } from "@parley/parley/stats";

const server = serve({ framing: delimited("\n") }, async (conn) => {
  for await (const message of conn) await conn.send(message);
});
await server.ready;
const page = serveStats(server, { requestTimeoutMs: 1000 });
await page.ready;
console.log("server", server.addr);
console.log("page", page.addr);
