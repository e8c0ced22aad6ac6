// A server whose size is measured: `server.ts <kind> <folder> <connections>` listens and prints
// where; it echoes messages or streams.
import { serve } from "../../mod.ts";
import { mount } from "../../wire/mod.ts";

const [kind, folder, count] = Deno.args as [string, string, string];
const maxConnections = Number(count) + 100;
const roomy = { maxConnections, maxPending: maxConnections, idleTimeoutMs: 600_000 };
const tls = { certFile: `${folder}/cert.pem`, keyFile: `${folder}/key.pem` };

if (kind.startsWith("wire")) {
  const wire = mount({
    port: 0,
    insecureAnyone: true,
    maxConnections,
    ...(kind === "wire, TLS" ? { tls } : {}),
    handlers: {
      echo: async (stream) => {
        for await (const chunk of stream) await stream.write(chunk);
      },
    },
  });
  await wire.ready;
  console.log(wire.addr.transport === "tcp" ? wire.addr.port : 0);
} else {
  const path = `${folder}/${crypto.randomUUID()}.sock`;
  const server = serve({
    ...roomy,
    ...(kind === "unix" ? { path } : { port: 0 }),
    ...(kind.startsWith("TLS")
      ? { tls: { ...tls, backend: kind === "TLS, deno" ? "deno" : "auto" } }
      : {}),
  }, async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  console.log(server.addr.transport === "tcp" ? server.addr.port : path);
}
