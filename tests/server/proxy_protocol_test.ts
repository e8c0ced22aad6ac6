// Tests of servers behind balancers: real addresses are reported and counted, and the balancer pays
// for none of its clients.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Address,
  connectTransport,
  listenTransport,
  serve,
  type ServeOptions,
} from "@parley/parley";
import { join, mount } from "@parley/parley/wire";
import { testCerts } from "../support/programs/certs.ts";
import { HeaderRelay } from "../support/peers/header_relay.ts";
import { lineTcp4 } from "../support/peers/proxy_headers.ts";
import { readToEnd, writeAll } from "../support/peers/raw_peer.ts";
import { started, type TestServer } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

const BEHIND = { proxyProtocol: { sources: ["127.0.0.1"] }, limitLoopback: true } as const;

function portOf({ server }: TestServer): number {
  return (server.addr as Deno.NetAddr).port;
}

/** What a balancer does for a client of this address: the header, then what the client says. */
async function come(port: number, source: string | null, said = ""): Promise<Deno.TcpConn> {
  const socket = await Deno.connect({ port });
  if (source !== null) await writeAll(socket, lineTcp4(source, 40_000));
  await writeAll(socket, new TextEncoder().encode(said));
  return socket;
}

/** Whether a client is served. */
async function isServed(port: number, source: string): Promise<boolean> {
  using socket = await come(port, source, "hello\n");
  const buffer = new Uint8Array(6);
  return await settles("an answer or the end", socket.read(buffer).catch(() => null)) !== null;
}

async function refused(port: number, source: string | null, said: string): Promise<void> {
  using socket = await come(port, source, said);
  assertEquals(await settles("the refusal", readToEnd(socket)), "");
}

Deno.test("serve() behind a balancer tells the clients' addresses to data, hooks, handlers, connections and statistics", async () => {
  const told: unknown[] = [];
  await using test = await started({
    ...BEHIND,
    data: ({ remoteAddr, localAddr }): unknown => told.push(remoteAddr, localAddr),
    onConnect: ({ remoteAddr }) => void told.push(remoteAddr),
  });
  using socket = await come(portOf(test), "192.0.2.7", "hello\n");
  await socket.read(new Uint8Array(6));
  const [connection] = test.server.connections.values();
  const client: Address = { transport: "tcp", hostname: "192.0.2.7", port: 40_000 };
  const dialled: Address = { transport: "tcp", hostname: "198.51.100.1", port: 5555 };
  assertEquals(told, [client, dialled, client]);
  assertEquals([connection!.remoteAddr, connection!.localAddr], [client, dialled]);
  assertEquals(connection!.stats().remoteAddr, client);
});

Deno.test("serve() with proxyProtocol treats who is not listed as ever: no header is looked for", async () => {
  await using test = await started({ proxyProtocol: { sources: ["192.0.2.0/24"] } });
  using socket = await come(portOf(test), "192.0.2.7", "hello\n");
  const line = new TextDecoder().decode(lineTcp4("192.0.2.7", 40_000)).replace("\n", "");
  const answer = new Uint8Array(100);
  const length = await socket.read(answer);
  assertEquals(new TextDecoder().decode(answer.subarray(0, length!)).split("\n")[0], line);
  assertEquals([...test.server.connections.values()][0]!.remoteAddr.transport, "tcp");
});

Deno.test("serve() refuses a listed source without a header, tells why, and holds it against no client", async () => {
  await using test = await started({
    ...BEHIND,
    penalties: { failureMs: 600_000, maxMs: 600_000 },
  });
  for (let time = 0; time < 20; time++) await refused(portOf(test), null, "GET / HTTP/1.1\r\n");
  assert(test.codes.length > 0);
  assertEquals(new Set(test.codes), new Set(["handshake ERR_PROXY_HEADER"]));
  // The balancer's own address is let in as well.
  for (const source of ["192.0.2.7", "127.0.0.1"]) {
    assertEquals(await isServed(portOf(test), source), true);
  }
});

Deno.test("serve() takes a balancer's bare checks for no offence, many of them a second", async () => {
  await using test = await started({
    ...BEHIND,
    penalties: { failureMs: 600_000, maxMs: 600_000 },
  });
  for (let time = 0; time < 50; time++) (await Deno.connect({ port: portOf(test) })).close();
  // The balancer's own address is let in as well.
  for (const source of ["192.0.2.7", "127.0.0.1"]) {
    assertEquals(await isServed(portOf(test), source), true);
  }
});

Deno.test("serve() ends a listed source that sends no header within the time for handshakes, and punishes no one", async () => {
  await using test = await started({ ...BEHIND, handshakeTimeoutMs: 50 });
  for (let time = 0; time < 5; time++) await refused(portOf(test), null, "PROXY TCP4 ");
  assertEquals(new Set(test.codes), new Set(["handshake ERR_HANDSHAKE_TIMEOUT"]));
  assertEquals(await isServed(portOf(test), "127.0.0.1"), true);
});

Deno.test("serve() punishes the client behind a balancer whose handshakes fail, and no other", async () => {
  const { server } = await testCerts();
  await using test = await started({
    ...BEHIND,
    tls: server,
    penalties: { failureMs: 600_000, maxMs: 600_000 },
  });
  for (let time = 0; time < 8; time++) await refusedByTls(portOf(test), "192.0.2.66");
  assertEquals(test.server.stats().overall.connectionsRefused > 0, true);
  const before = test.server.stats().overall.connectionsRefused;
  await refusedByTls(portOf(test), "192.0.2.7");
  assertEquals(test.server.stats().overall.connectionsRefused, before);
});

/** A client that is no TLS client; what comes back is an alert, or nothing where it was refused before. */
async function refusedByTls(port: number, source: string): Promise<void> {
  using socket = await come(port, source, "GET / HTTP/1.1\r\n");
  await settles("the end", readToEnd(socket));
}

Deno.test("serve() counts the caps per source for each client behind a balancer by itself", async () => {
  await using test = await started({ ...BEHIND, maxConnectionsPerSource: 2 });
  const port = portOf(test);
  using _a = await come(port, "192.0.2.7", "a\n");
  using _b = await come(port, "192.0.2.7", "b\n");
  await until("both are in", () => test.server.connections.size === 2);
  await refused(port, "192.0.2.7", "c\n");
  assertEquals(test.server.stats().overall.connectionsRefused, 1);
  for (let host = 1; host <= 5; host++) {
    const socket = await come(port, `198.51.100.${host}`, "d\n");
    assert(await socket.read(new Uint8Array(2)) !== null);
    socket.close();
  }
});

Deno.test("serve() lets more clients behind a balancer shake hands at a time than one source may", async () => {
  await using test = await started({ ...BEHIND, maxPendingPerSource: 2 });
  const port = portOf(test);
  // They say nothing yet: each waits for its header.
  const sockets = await Promise.all(Array.from({ length: 20 }, () => Deno.connect({ port })));
  for (const [index, socket] of sockets.entries()) {
    await writeAll(socket, lineTcp4(`192.0.2.${index}`, 40_000));
    await writeAll(socket, new TextEncoder().encode("x\n"));
  }
  for (const socket of sockets) {
    assert(await settles("an answer", socket.read(new Uint8Array(2))) !== null);
    socket.close();
  }
});

Deno.test("serve() ends waits for headers when it drains", async () => {
  await using test = await started(BEHIND);
  using socket = await Deno.connect({ port: portOf(test) });
  using other = await come(portOf(test), "192.0.2.7", "x\n");
  await other.read(new Uint8Array(2));
  await settles("the drain", test.server.shutdown());
  assertEquals(await settles("the end", readToEnd(socket)), "");
});

Deno.test("serve() checks proxyProtocol before anything is opened", () => {
  const bad: [ServeOptions, string][] = [
    [{ proxyProtocol: { sources: [] } }, "must name a balancer"],
    [{ proxyProtocol: { sources: ["unix"] } }, `current value is "unix"`],
    [{ proxyProtocol: { sources: ["127.0.0.1"] }, path: "/tmp/x.sock" }, `must be ["unix"]`],
    [{ keepAlive: { delayMs: 30_000 } }, `"keepAlive.delayMs"`],
    [{ keepAlive: "yes" as unknown as boolean }, `"keepAlive"`],
  ];
  for (const [options, text] of bad) {
    for (const open of [() => serve(options, () => {}), () => listenTransport(options as object)]) {
      const error = assertThrows(open, Error, text);
      assert(error instanceof TypeError || error instanceof RangeError);
    }
  }
});

Deno.test("serve() with TLS by node takes a time for keepAlive", async () => {
  const { server, ca } = await testCerts();
  await using test = await started({ tls: server, keepAlive: { delayMs: 30_000 } });
  const conn = await test.connect({ tls: { caCerts: [ca.cert] } });
  await conn.send("x");
  assert(await conn.receive() !== null);
  await conn.close();
});

Deno.test("listenTransport() behind a balancer tells the clients' addresses", async () => {
  await using listener = listenTransport({ proxyProtocol: { sources: ["127.0.0.1"] } });
  await listener.ready;
  await using relay = await HeaderRelay.open(listener.addr, lineTcp4("192.0.2.7", 40_000));
  const accepting = listener.accept();
  const near = await connectTransport({ port: relay.port });
  const far = await settles("the transport", accepting);
  assertEquals(far!.remoteAddr, { transport: "tcp", hostname: "192.0.2.7", port: 40_000 });
  near.close();
  far!.close();
});

Deno.test("mount() behind a balancer tells the peers' addresses, also to authorize", async () => {
  const asked: unknown[] = [];
  const wire = mount({
    proxyProtocol: { sources: ["127.0.0.1"] },
    authorize: ({ remoteAddr }) => asked.push(remoteAddr) > 0,
  });
  await wire.ready;
  await using relay = await HeaderRelay.open(wire.addr, lineTcp4("192.0.2.7", 40_000));
  const peer = join({ port: relay.port, identity: "agent-7" });
  await settles("the peer is in", peer.ready);
  const client: Address = { transport: "tcp", hostname: "192.0.2.7", port: 40_000 };
  assertEquals(asked, [client]);
  assertEquals(wire.session("agent-7")!.remoteAddr, client);
  await peer.close();
  await wire.shutdown();
});
