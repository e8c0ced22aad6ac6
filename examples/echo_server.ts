// An echo server: sends every message back to its sender.
//
//   deno run --allow-net examples/echo_server.ts 5555
//
// Then talk to it with echo_client.ts.
import { serve } from "@parley/parley";

const port = Number(Deno.args[0] ?? 5555);

serve({
  port,
  onListen: (addr) => console.log("Listening on", addr),
  onConnect: (conn) => console.log("Hello", conn.remoteAddr),
  onDisconnect: (conn, { error }) => console.log("Goodbye", conn.remoteAddr, error?.message ?? ""),
}, async (conn) => {
  for await (const message of conn) await conn.send(message);
});
