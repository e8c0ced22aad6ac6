// Connections for tests of calls: two ends over each kind of transport, in this process.
import { connect, Connection, memoryPair, serve, type ServeOptions } from "@parley/parley";
import { testCerts } from "../programs/certs.ts";
import { TempDir } from "../programs/temp_dir.ts";

/** What carries a connection. */
export type Carrier = "memory" | "tcp" | "tls" | "unix";

/** All carriers. */
export const CARRIERS: readonly Carrier[] = ["memory", "tcp", "tls", "unix"];

/** Two ends of one connection, and what ends them. */
export interface Ends extends AsyncDisposable {
  readonly near: Connection;
  readonly far: Connection;
}

/** Connects two ends. The far one is that of a server, where there is one. */
export async function connectedEnds(carrier: Carrier): Promise<Ends> {
  if (carrier === "memory") {
    const [a, b] = memoryPair();
    const [near, far] = [new Connection(a), new Connection(b)];
    return {
      near,
      far,
      async [Symbol.asyncDispose]() {
        await Promise.all([near.close(), far.close()]);
      },
    };
  }
  const folder = new TempDir();
  const { ca, server: identity, client } = await testCerts();
  const options: ServeOptions = carrier === "unix"
    ? { path: `${folder.path}/s` }
    : carrier === "tls"
    ? { tls: { ...identity, clientCa: [ca.cert], backend: "node" } }
    : {};
  const accepted = Promise.withResolvers<Connection>();
  const server = serve(options, async (conn) => {
    accepted.resolve(conn);
    await conn.closed;
  });
  await server.ready;
  const near = await connect(
    carrier === "tls"
      ? { ...server.addr, hostname: "localhost", tls: { caCerts: [ca.cert], ...client } } as never
      : server.addr,
  );
  return {
    near,
    far: await accepted.promise,
    async [Symbol.asyncDispose]() {
      // It may have been closed before its calls had ended.
      await near.close().catch(() => {});
      await server.shutdown();
      await folder[Symbol.asyncDispose]();
    },
  };
}
