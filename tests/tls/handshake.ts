// One handshake over loopback with either of the platform's TLS implementations, for tests of certificates.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";

/** What a server shows, and whom it lets in. */
export interface ServerSide {
  cert: string;
  key: string;
  clientCa?: string | undefined;
}

/** What a client trusts and shows, and the name that it wants. */
export interface ClientSide {
  ca: string;
  hostname: string;
  cert?: string | undefined;
  key?: string | undefined;
}

/** Implementations of TLS in Deno. */
export type Backend = "deno" | "node";

/**
 * Lets a client read one byte of a server. Returns "ok", or the text of the client's error: a server that
 * refuses a client shows only when the client reads.
 */
export async function tryHandshake(
  backends: { server: Backend; client: Backend },
  server: ServerSide,
  client: ClientSide,
): Promise<string> {
  const listening = backends.server === "deno" ? listenDeno(server) : await listenNode(server);
  try {
    return await (backends.client === "deno" ? dialDeno : dialNode)(listening.port, client);
  } finally {
    await listening.close();
  }
}

interface Listening {
  port: number;
  close(): Promise<void>;
}

function listenDeno({ cert, key }: ServerSide): Listening {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const served = (async () => {
    const conn = await listener.accept();
    try {
      await conn.handshake();
      await conn.write(new Uint8Array([1]));
      await conn.read(new Uint8Array(1));
    } catch {
      // The client's error says why.
    } finally {
      conn.close();
    }
  })();
  return {
    port: listener.addr.port,
    async close() {
      await served;
      listener.close();
    },
  };
}

async function listenNode({ cert, key, clientCa }: ServerSide): Promise<Listening> {
  const mutual = clientCa === undefined
    ? {}
    : { ca: [clientCa], requestCert: true, rejectUnauthorized: true };
  const server = tls.createServer({ cert, key, ...mutual }, (socket) => {
    socket.on("error", () => {});
    socket.end(new Uint8Array([1]));
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      await once(server, "close");
    },
  };
}

async function dialDeno(port: number, { ca, hostname, cert, key }: ClientSide): Promise<string> {
  const plain = await Deno.connect({ hostname: "127.0.0.1", port });
  let conn: Deno.TlsConn | undefined;
  try {
    if (cert !== undefined && key !== undefined) {
      plain.close();
      conn = await Deno.connectTls({ hostname, port, caCerts: [ca], cert, key });
    } else {
      conn = await Deno.startTls(plain, { hostname, caCerts: [ca] });
    }
    return await conn.read(new Uint8Array(1)) === 1 ? "ok" : "closed";
  } catch (error) {
    return String(error);
  } finally {
    conn?.close();
  }
}

function dialNode(port: number, { ca, hostname, cert, key }: ClientSide): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let result = "closed";
  const socket = tls.connect({
    host: "127.0.0.1",
    port,
    servername: hostname,
    ca: [ca],
    cert,
    key,
  });
  socket.on("data", () => {
    result = "ok";
    socket.end();
  });
  socket.on(
    "error",
    (error: Error & { code?: string | undefined }) => result = `${error.code} ${error.message}`,
  );
  socket.on("close", () => resolve(result));
  return promise;
}
