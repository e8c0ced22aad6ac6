// A proxy that speaks TLS with clients and plain TCP with its backends, byte for byte: whatever
// protocol they use.
//
//   deno run --allow-net --allow-read examples/tls_proxy.ts 5560 certificates/ 7001 7002 7003
//
// The folder holds server.pem and server.key; a new certificate is taken up without a restart.
import { raw, serve } from "@parley/parley";
import { Pool, splice } from "@parley/parley/pool";

const [port = "5560", folder = "certificates", ...backends] = Deno.args;

const pool = new Pool({
  backends: backends.map((port) => ({ port: Number(port) })),
  framing: raw(), // bytes, not messages
  canReset: true, // a backend must not take half of an upload for the whole
  maxPerBackend: 300,
  maxConnections: 900,
  acquireTimeoutMs: 3_000,
  outliers: false, // how long a connection lasts is up to the clients, and says nothing about the backend
});

const server = serve({
  port: Number(port),
  framing: raw(),
  tls: { certFile: `${folder}/server.pem`, keyFile: `${folder}/server.key`, watch: true },
  maxConnections: 900,
  onListen: (addr) => console.log("Listening on", addr),
  onError: (error, { phase }) =>
    console.error(phase, error instanceof Error ? error.message : error),
}, async (conn) => {
  const lease = await pool.acquire();
  const end = await splice(conn, lease.conn);
  // The circuit breaker learns of backends that fail, and not of clients that vanish.
  if (end.failed === "b") lease.fail(end.error);
  else if (end.failed === "a") lease.discard();
  else lease.release();
});

Deno.addSignalListener("SIGTERM", async () => {
  await server.shutdown().catch((error) => console.error(error.message));
  await pool.close().catch((error) => console.error(error.message));
  console.log(JSON.stringify(pool.stats()));
  Deno.exit();
});
