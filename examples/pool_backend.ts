// A backend: answers each question with its name and the question in capitals.
//
//   deno run --allow-net examples/pool_backend.ts red 7001
//
// Then ask several of them with pooled_client.ts, or put tls_proxy.ts in front.
import { serve } from "@parley/parley";

const [name = "red", port = "7001"] = Deno.args;

const server = serve({
  port: Number(port),
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn) => {
  for await (const question of conn) {
    await conn.send(`${name}: ${new TextDecoder().decode(question).toUpperCase()}`);
  }
});

// In order: no new connections, what was asked is answered.
Deno.addSignalListener("SIGTERM", () => void server.shutdown().finally(() => Deno.exit()));
