// Ends without the mark of order, and alerts: what the peer of a TLS session learns of why it ended.
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { connect } from "../../client/connect.ts";
import { ClosedError, TlsError } from "../../errors.ts";
import { dial } from "../../net/dial.ts";
import { listen, type ListenTarget } from "../../net/listen.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { serve } from "../../server.ts";
import type { ResolvedClientTls, TlsBackend } from "../../tls/handshake/options.ts";
import { clientTls, sourceOf, testCerts } from "../support/programs/certs.ts";
import { settles } from "../support/wait.ts";

const MIB = 2 ** 20;
const { signal } = new AbortController();
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Reads to the end: how many bytes came, and whether the end was one in order. */
async function readAll(transport: Transport): Promise<[bytes: number, end: string]> {
  let bytes = 0;
  try {
    for (let chunk; (chunk = await transport.read()) !== null;) bytes += chunk.length;
    return [bytes, "in order"];
  } catch (error) {
    assertInstanceOf(error, ClosedError);
    return [bytes, error.code];
  }
}

async function pairOver(
  target: ListenTarget,
  tls: ResolvedClientTls,
): Promise<[Transport, Transport]> {
  const listener = await listen(target);
  try {
    const accepting = listener.accept().then((incoming) => incoming!.open({ signal }));
    const { addr } = listener;
    assert(addr.transport !== "memory");
    const where = addr.transport === "unix"
      ? { path: addr.path }
      : { hostname: "localhost", port: addr.port };
    return await Promise.all([dial({ ...where, tls }, { signal }), accepting]);
  } finally {
    listener.close();
  }
}

async function tlsPair(client: TlsBackend, server: TlsBackend): Promise<[Transport, Transport]> {
  const certs = await testCerts();
  const tls = { credentials: sourceOf(certs.server), backend: server };
  return await pairOver({ port: 0, tls }, clientTls(certs, { backend: client }));
}

async function unixPair(): Promise<[Transport, Transport]> {
  const certs = await testCerts();
  const directory = await Deno.makeTempDir();
  try {
    const tls = { credentials: sourceOf(certs.server) };
    return await pairOver({ path: `${directory}/socket`, tls }, clientTls(certs));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const kinds: Readonly<Record<string, () => Promise<[Transport, Transport]>>> = {
  "memory": () => Promise.resolve(memoryPair()),
  "TLS of node": () => tlsPair("node", "node"),
  "TLS of node, turned": async () =>
    (await tlsPair("node", "node")).toReversed() as [Transport, Transport],
  "TLS from node to Deno": () => tlsPair("node", "deno"),
  "TLS from Deno to node, turned": async () =>
    (await tlsPair("deno", "node")).toReversed() as [Transport, Transport],
  ...Deno.build.os !== "windows" && { "TLS over a unix socket": unixPair },
};

for (const [name, makePair] of Object.entries(kinds)) {
  for (const how of ["closeWrite", "close"] as const) {
    Deno.test(`Transport over ${name} lets the peer read all, then an error, by unsign() and ${how}()`, async () => {
      const [near, far] = await makePair();
      const reading = readAll(far);
      await near.write(new Uint8Array(3 * MIB));
      near.unsign!();
      await near[how]();
      assertEquals(await settles("reading", reading), [3 * MIB, "ERR_RESET"]);
      near.close();
      far.close();
    });
  }

  Deno.test(`Transport over ${name} reads on after unsign() and closeWrite()`, async () => {
    const [near, far] = await makePair();
    near.unsign!();
    const ending = near.closeWrite();
    await far.write(new Uint8Array(5)).catch(() => {});
    await ending;
    // The peer's own end may be one by a reset, as it has met an error.
    await settles("end", readAll(far));
    near.close();
    far.close();
  });

  Deno.test(`Transport over ${name} ends in order without unsign()`, async () => {
    const [near, far] = await makePair();
    await near.write(new Uint8Array(5));
    await near.closeWrite();
    assertEquals(await settles("reading", readAll(far)), [5, "in order"]);
    near.close();
    far.close();
  });
}

Deno.test("Transport over TCP, a unix socket and TLS of Deno knows one kind of end only", async () => {
  const [near, far] = await tlsPair("deno", "deno");
  assertEquals([near.unsign, far.unsign], [undefined, undefined]);
  near.close();
  far.close();
});

for (const backend of ["node", "deno"] as const) {
  Deno.test(`connect() over TLS of ${backend} to a server that ends the connection for its client's fault gets an error`, async () => {
    const certs = await testCerts();
    await using server = serve(
      { tls: certs.server, logger: silent, maxMessageBytes: 1000 },
      async (conn) => {
        for await (const message of conn) await conn.send(message);
      },
    );
    await server.ready;
    const { port } = server.addr as { port: number };
    const tls = { caCerts: [certs.ca.cert], backend };
    await using conn = await connect({ hostname: "localhost", port, tls });
    await conn.send("fine");
    assertEquals((await conn.receive())!.length, 4);
    await conn.send("x".repeat(5000));
    const error = await settles("receive", assertRejects(() => conn.receive(), ClosedError));
    assertEquals(error.code, "ERR_RESET");
  });

  Deno.test(`Transport over TLS of ${backend} names the alert by which a server refuses a client without a certificate`, async () => {
    const certs = await testCerts();
    const tls = { credentials: sourceOf(certs.server, { clientCa: [certs.ca.cert] }) };
    const listener = await listen({ port: 0, tls });
    const { port } = listener.addr as { port: number };
    const opening = listener.accept().then((incoming) => incoming!.open({ signal })).catch(
      () => {},
    );
    const client = await dial({ hostname: "localhost", port, tls: clientTls(certs, { backend }) }, {
      signal,
    });
    const error = await settles("reading", assertRejects(() => client.read(), TlsError));
    assertEquals(error.code, "ERR_TLS_HANDSHAKE");
    assertEquals(
      /by the alert Certificate_?Required: it wants a client certificate/i.test(error.message),
      true,
    );
    await opening;
    client.close();
    listener.close();
  });
}
