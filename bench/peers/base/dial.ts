// Dialling of the loads: a connection without anything of ours.

let caCerts: string[] | undefined;

/** Connects to a server of the races; a connection over TLS has shaken hands. */
export async function dial(backend: string, address: string, folder: string): Promise<Deno.Conn> {
  if (backend === "unix") return await Deno.connect({ transport: "unix", path: address });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(address) });
  conn.setNoDelay(true);
  if (!backend.startsWith("tls")) return conn;
  caCerts ??= [await Deno.readTextFile(`${folder}/ca.pem`)];
  const tls = await Deno.startTls(conn, { hostname: "localhost", caCerts });
  await tls.handshake();
  return tls;
}
