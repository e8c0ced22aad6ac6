// Echo servers of the races: `server.ts <contestant> <backend> <folder> <framing> <path>` listens and
// prints where.
import { type Connection, delimited, lengthPrefixed, serve } from "../../../mod.ts";
import { createServer as createTlsServer } from "node:tls";
import type { Socket } from "node:net";
import type { Buffer } from "node:buffer";

const [contestant, backend, folder, framing, path] = Deno.args as [
  string,
  string,
  string,
  "lines" | "lengths",
  string,
];

function pem(): { cert: string; key: string } {
  return {
    cert: Deno.readTextFileSync(`${folder}/cert.pem`),
    key: Deno.readTextFileSync(`${folder}/key.pem`),
  };
}

/** The shortest loop there is: bytes come back unparsed. */
async function echoRaw(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(contestant === "raw small" ? 1024 : 65536);
  try {
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      for (let sent = 0; sent < n;) sent += await conn.write(buffer.subarray(sent, n));
    }
  } catch {
    // The load ended.
  }
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}

async function raw(): Promise<void> {
  if (backend === "tls-node") {
    const server = createTlsServer({ ...pem() }, (socket: Socket) => {
      socket.setNoDelay(true);
      socket.on("data", (bytes: Buffer) => void socket.write(bytes));
      socket.on("error", () => {});
    });
    server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
    return;
  }
  const listener = backend === "unix"
    ? Deno.listen({ transport: "unix", path })
    : backend === "tls-deno"
    ? Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pem() })
    : Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.transport === "unix" ? path : (listener.addr as Deno.NetAddr).port);
  for await (const conn of listener) {
    if (backend === "tcp") (conn as Deno.TcpConn).setNoDelay(true);
    void echoRaw(conn);
  }
}

/** Handlers that return each message. */
const HANDLERS: Readonly<Record<string, (conn: Connection) => Promise<void>>> = {
  async messages(conn) {
    for await (const message of conn) await conn.send(message);
  },
  async batches(conn) {
    for await (const batch of conn.batches()) {
      let last: Promise<void> | undefined;
      for (const message of batch) last = conn.send(message);
      await last;
    }
  },
  async "send batches"(conn) {
    for await (const batch of conn.batches()) await conn.sendBatch(batch);
  },
};

async function parley(handler: (conn: Connection) => Promise<void>): Promise<void> {
  const server = serve({
    ...(backend === "unix" ? { path } : { hostname: "127.0.0.1", port: 0 }),
    ...(backend.startsWith("tls")
      ? { tls: { ...pem(), backend: backend === "tls-node" ? "node" : "deno" } }
      : {}),
    framing: framing === "lines" ? delimited("\n") : lengthPrefixed(),
    maxConnections: 11_000,
    maxPending: 11_000,
    idleTimeoutMs: 600_000,
    onError: () => {},
  }, handler);
  await server.ready;
  console.log(server.addr.transport === "tcp" ? server.addr.port : path);
}

if (contestant.startsWith("raw")) await raw();
else await parley(HANDLERS[contestant]!);
