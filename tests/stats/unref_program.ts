// Serves a statistics page, stops its server on a command, and is over when nothing keeps it alive.
import { serve } from "@parley/parley";
import { serveStats } from "@parley/parley/stats";

const server = serve(() => {});
await server.ready;
const page = serveStats(server);
await page.ready;
console.log(page.addr);
await Deno.stdin.read(new Uint8Array(10));
await server.shutdown();
