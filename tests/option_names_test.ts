// Misspelt options, outer and nested ones: whatever takes options refuses them, and names the one
// that was meant.
import { assertRejects, assertThrows } from "@std/assert";
import {
  Client,
  connect,
  Connection,
  connectTransport,
  lengthPrefixed,
  listenTransport,
  memoryPair,
  serve,
  serveWorkers,
} from "@parley/parley";
import { answer, call, caller, contract, feed } from "@parley/parley/calls";
import { bytes, typed } from "@parley/parley/codec";
import { connectIpc, listenIpc, pairIpc } from "@parley/parley/ipc";
import { MuxSession } from "@parley/parley/mux";
import { Pool } from "@parley/parley/pool";
import { serveStats } from "@parley/parley/stats";
import {
  createCa,
  createCertificate,
  inspectCertificate,
  loadTls,
  writeIdentity,
} from "@parley/parley/tls";
import { expose, forward, hub, join, mount, mountWorkers } from "@parley/parley/wire";

// deno-lint-ignore no-explicit-any -- what plain JavaScript may pass
type Wrong = any;

const PORT = { port: 1 };
const WORK = () => {};
const CLOCK = contract({ now: call<void, string>(), ticks: feed<void, string>() });
const HANDLERS = { now: () => "now", ticks: () => [] };

/** What carries calls, and is not used: what is misspelt is found before. */
const CARRIER = { peer: "unused", ask: WORK, stream: WORK, add: WORK, remove: WORK } as Wrong;

/** What is called with a misspelt option, and the name that was meant. */
const AT_ONCE: ReadonlyArray<readonly [meant: string, call: () => unknown]> = [
  ["maxConnections", () => serve({ maxConection: 5 } as Wrong, WORK)],
  ["penalties.failureMs", () => serve({ penalties: { failiureMs: 5 } } as Wrong, WORK)],
  ["rateLimits.perSource", () => serve({ rateLimits: { perSorce: {} } } as Wrong, WORK)],
  [
    "rateLimits.perServer.bytesPerSecond",
    () => serve({ rateLimits: { perServer: { bytePerSecond: 5 } } } as Wrong, WORK),
  ],
  ["tls.certFile", () => serve({ tls: { certFiles: "x", keyFile: "y" } } as Wrong, WORK)],
  [`sni["a.example"].certFile`, () =>
    serve(
      {
        tls: { certFile: "x", keyFile: "y", sni: { "a.example": { certfile: "x", keyFile: "y" } } },
      } as Wrong,
      WORK,
    )],
  ["closedLog.maxAgeMs", () => serve({ closedLog: { maxAge: 5 } } as Wrong, WORK)],
  ["keepAlive.delayMs", () => serve({ keepAlive: { delay: 5 } } as Wrong, WORK)],
  ["proxyProtocol.sources", () => serve({ proxyProtocol: { source: [] } } as Wrong, WORK)],
  ["handshakeTimeoutMs", () => listenTransport({ handshakeTimeout: 5 } as Wrong)],
  ["reconnect.maxDelayMs", () => new Client({ ...PORT, reconnect: { maxDelay: 5 } } as Wrong)],
  ["onConnect", () => new Client({ ...PORT, onConect: WORK } as Wrong)],
  ["readAheadBytes", () => new Connection(memoryPair()[0], { readAhedBytes: 5 } as Wrong)],
  ["breaker.failures", () => new Pool({ backends: [PORT], breaker: { failure: 5 } } as Wrong)],
  ["port", () => new Pool({ backends: [{ prot: 5 }] } as Wrong)],
  ["tls.caFile", () => new Pool({ backends: [{ ...PORT, tls: { caFiles: "x" } }] } as Wrong)],
  ["token", () => join({ ...PORT, identity: "x", tokn: "x" } as Wrong)],
  ["mux.maxStreams", () => join({ ...PORT, identity: "x", mux: { maxStream: 5 } } as Wrong)],
  ["authorize", () => mount({ insecureAnyone: true, authorise: WORK } as Wrong)],
  ["maxStreamsPerPair", () => hub({ insecureAnyone: true, maxStreamPerPair: 5 } as Wrong)],
  [
    "keepAliveMs",
    () => new MuxSession(memoryPair()[0], { role: "client", keepAlivMs: 5 } as Wrong),
  ],
  ["idempotent", () => call({ idempotant: true } as Wrong)],
  ["output", () => feed({ outptu: bytes() } as Wrong)],
  ["version", () => contract({}, { versoin: "1" } as Wrong)],
  ["authorize", () => answer(CARRIER, CLOCK, HANDLERS, { authorise: WORK } as Wrong)],
  ["ticks", () => answer(CARRIER, CLOCK, { ...HANDLERS, tiks: WORK } as Wrong)],
  ["middleware", () => caller(CARRIER, CLOCK, { middlware: [] } as Wrong)],
  ["idleTimeoutMs", () => caller(CARRIER, CLOCK).ticks(undefined, { idleTimeout: 5 } as Wrong)],
  [
    "onInvalid",
    () => {
      const conn = new Connection(memoryPair()[0]);
      try {
        typed(conn, bytes(), { onInvaild: WORK } as Wrong);
      } finally {
        conn.abort();
      }
    },
  ],
  ["endian", () => lengthPrefixed({ endean: "big" } as Wrong)],
  ["maxViewers", () => serveStats({ stats: WORK } as Wrong, { maxViewer: 5 } as Wrong)],
];

/** The same for what rejects. */
const LATER: ReadonlyArray<readonly [meant: string, call: () => Promise<unknown>]> = [
  ["workers", () => serveWorkers("file:///unused.ts", { worker: 4 } as Wrong)],
  ["drainDelayMs", () => mountWorkers("file:///unused.ts", { drainDelay: 4 } as Wrong)],
  ["tls.certFile", () => serveWorkers("file:///unused.ts", { tls: { certFiles: "x" } } as Wrong)],
  ["timeoutMs", () => caller(CARRIER, CLOCK).now(undefined, { timeout: 5 } as Wrong)],
  ["timeoutMs", () => connect({ ...PORT, timeoutms: 5 } as Wrong)],
  ["tls.caFile", () => connect({ ...PORT, tls: { caFiles: "x" } } as Wrong)],
  ["noDelay", () => connectTransport({ ...PORT, nodelay: true } as Wrong)],
  ["maxClients", () => listenIpc({ name: "x", maxClient: 5 } as Wrong)],
  ["connectTimeoutMs", () => connectIpc({ name: "x", conectTimeoutMs: 5 } as Wrong)],
  ["secret", () => pairIpc({ name: "x", secert: "x" } as Wrong, WORK as Wrong)],
  ["days", () => createCa({ day: 5 } as Wrong)],
  ["hosts", () => createCertificate({ host: [] } as Wrong)],
  ["hostname", () => inspectCertificate("", { hostName: "x" } as Wrong)],
  ["replace", () => writeIdentity({ replce: true } as Wrong)],
  ["watchIntervalMs", async () => await loadTls({ watchInterval: 5 } as Wrong)],
];

for (const [meant, call] of AT_ONCE) {
  Deno.test(`A misspelt option is refused at once: "${meant}" was meant`, () => {
    assertThrows(call, TypeError, `did you mean ${JSON.stringify(meant)}?`);
  });
}

for (const [meant, call] of LATER) {
  Deno.test(`A misspelt option is refused by a rejection: "${meant}" was meant`, async () => {
    await assertRejects(
      async () => await call(),
      TypeError,
      `did you mean ${JSON.stringify(meant)}?`,
    );
  });
}

Deno.test("A misspelt option of a wait is refused, and loses no message", async () => {
  await using server = serve({ logger: console }, async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  await using conn = await connect(server.addr);
  await conn.send("kept");
  await assertRejects(
    () => conn.receive({ timeout: 5 } as Wrong),
    TypeError,
    `did you mean "timeoutMs"?`,
  );
  await conn.receive();
  assertThrows(
    () => void server.shutdown({ timeout: 5 } as Wrong),
    TypeError,
    `did you mean "timeoutMs"?`,
  );
});

Deno.test("A misspelt option of a tunnel or a stream is refused", async () => {
  await using server = mount({ insecureAnyone: true });
  await server.ready;
  await using wire = join({ ...server.addr, identity: "x" });
  await wire.ready;
  assertThrows(() => expose(wire, "a", { prot: 5 } as Wrong), TypeError, `did you mean "port"?`);
  await assertRejects(
    () => forward(wire, "a", { maxConection: 5 } as Wrong),
    TypeError,
    `"maxConnections"?`,
  );
  await assertRejects(() => wire.open("a", { timeout: 5 } as Wrong), TypeError, `"timeoutMs"?`);
  await assertRejects(
    () => wire.open("a", { lifetime: { timout: 5 } } as Wrong),
    TypeError,
    `"lifetime.timeoutMs"?`,
  );
});
