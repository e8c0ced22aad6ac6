// Dialling of the loads: a connection without anything of ours.

let caCerts: string[] | undefined;

/** Connects to a server of the races; a connection over TLS has shaken hands. */
export async function dial(backend: string, address: string, folder: string): Promise<Deno.Conn> {
  if (backend === "unix") return await dialUnix(address);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(address) });
  conn.setNoDelay(true);
  if (!backend.startsWith("tls")) return conn;
  caCerts ??= [await Deno.readTextFile(`${folder}/ca.pem`)];
  const tls = await Deno.startTls(conn, { hostname: "localhost", caCerts });
  await tls.handshake();
  return tls;
}

/** A unix socket refuses at once while its listener has a full backlog. */
async function dialUnix(path: string): Promise<Deno.Conn> {
  for (;;) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
