// The trial of a new link: what dies at once was never a link, and nothing was handed to it.
import { assert, assertEquals } from "@std/assert";
import { Client, type ClientStatusEvent, connect, serve, TlsError } from "@parley/parley";
import { silenceFor } from "../../client/trial.ts";
import { text } from "../support/bytes.ts";
import { testCerts } from "../support/programs/certs.ts";
import { clientOf, ClientPeer, next, soon, take } from "../support/peers/client_peer.ts";
import { codeOf, lines } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

Deno.test("silenceFor() is the option, or twice the time of dialling up to a second; 0 stays 0", () => {
  const cases = [[50, 0, 50], [50, 25, 50], [50, 100, 200], [50, 9999, 1000], [3000, 9999, 3000], [
    0,
    100,
    0,
  ]];
  for (const [trialMs, dialMs, expected] of cases) {
    assertEquals(silenceFor(trialMs!, dialMs!), expected);
  }
});

Deno.test("Client hands nothing to a full server, and everything to it once there is room", async () => {
  const got: string[] = [];
  await using server = serve({ ...lines, maxConnections: 1, logger: quiet }, async (conn) => {
    for await (const message of conn) got.push(text(message));
  });
  await server.ready;
  const other = await connect({ ...server.addr, ...lines });
  await until("its place is taken", () => server.connections.size === 1);
  await using client = new Client({ ...server.addr, ...lines, reconnect: soon });
  const statuses = client.statuses();
  const events: ClientStatusEvent[] = [];
  const sends = Array.from({ length: 200 }, (_, i) => client.send(`${i}`));
  while (events.length < 8) events.push((await statuses.next()).value!);
  const [, ...failed] = events;
  assertEquals(new Set(failed.map(({ status }) => status)), new Set(["connecting"]));
  assertEquals(new Set(failed.map(({ error }) => codeOf(error))).size, 1);
  assertEquals(failed.map(({ attempt }) => attempt), [1, 2, 3, 4, 5, 6, 7]);
  assert((failed[0]!.error as Error).message.includes("closed it at once, without a word"));
  assertEquals([failed[0]!.serverLeft, failed[0]!.loss], ["orderly", undefined]);
  await other.close();
  await Promise.all(sends);
  await until("all has arrived", () => got.length === 200);
  assertEquals(got, Array.from({ length: 200 }, (_, i) => `${i}`));
});

Deno.test("Client delivers what a server said that closes at once: such a link counts", async () => {
  await using server = serve(
    { ...lines, logger: quiet },
    async (conn) => await conn.send("Too busy"),
  );
  await server.ready;
  await using client = new Client({ ...server.addr, ...lines, reconnect: { minDelayMs: 5000 } });
  const statuses = client.statuses();
  assertEquals(await take(client), "Too busy");
  assertEquals((await next(statuses, "reconnecting")).serverLeft, "orderly");
});

Deno.test("Client with trialMs: 0 hands over at once, and tells what may be lost", async () => {
  await using peer = await ClientPeer.start();
  await using client = clientOf(peer, { trialMs: 0 });
  const statuses = client.statuses();
  await client.send("Hi!");
  await client.flush();
  const link = await peer.link();
  link.abort();
  assertEquals((await next(statuses, "reconnecting")).loss?.handedMessages, 1);
});

Deno.test("Client without a certificate names the server's alert, is never connected, and has what it needs once it has one", async () => {
  await using dir = new TempDir();
  const { ca, server, client: identity } = await testCerts();
  const got: string[] = [];
  await using listening = serve(
    { ...lines, tls: { ...server, clientCa: ca.cert }, logger: quiet, onError() {} },
    async (conn) => {
      for await (const message of conn) got.push(text(message));
    },
  );
  await listening.ready;
  await using client = new Client({
    ...listening.addr,
    ...lines,
    tls: { caCerts: [ca.cert] },
    reconnect: soon,
  });
  const statuses = client.statuses();
  const events: ClientStatusEvent[] = [];
  while (events.length < 5) events.push((await statuses.next()).value!);
  for (const { status, error } of events.slice(1)) {
    assert(error instanceof TlsError && error.code === "ERR_TLS_HANDSHAKE", String(error));
    assert(/certificate_?required/i.test(error.message) && status === "connecting");
  }
  assertEquals(client.stats().overall.connectionsOpened, 0);

  // Files that are half written, empty, or do not fit each other pass as well.
  const [certFile, keyFile] = [`${dir.path}/cert.pem`, `${dir.path}/key.pem`];
  await using second = new Client({
    ...listening.addr,
    ...lines,
    tls: { certFile, keyFile, caCerts: [ca.cert] },
    reconnect: soon,
  });
  const waiting = second.send("waited");
  const later = second.statuses();
  const halves = [
    [identity.cert.slice(0, 300), identity.key],
    ["", identity.key],
    [identity.cert, ""],
    [identity.cert, server.key],
    [server.cert, server.key],
  ];
  for (const [cert, key] of halves) {
    // In this order no pair fits for a moment.
    await Deno.writeTextFile(keyFile, key!);
    await Deno.writeTextFile(certFile, cert!);
    for (let i = 0; i < 3; i++) assertEquals((await later.next()).value!.status, "connecting");
  }
  await Deno.writeTextFile(certFile, identity.cert);
  await Deno.writeTextFile(keyFile, identity.key);
  await settles("it is accepted", waiting);
  await until("it has arrived", () => got.length === 1);
});
