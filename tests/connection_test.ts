// Connection: its face. What it reports about itself, its options, and what its creator passes.
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Connection, type ConnectionOptions, type Traffic } from "../connection.ts";
import { delimited, fixedLength, type Framing, raw } from "../framing.ts";
import { memoryPair } from "../net/transport/memory_pair.ts";
import type { SocketTuning, TlsInfo } from "../net/transport/transport.ts";
import { utf8 } from "./support/bytes.ts";
import {
  closeAll,
  connectedPair,
  scriptedConnection,
  settle,
} from "./support/simulation/memory_connections.ts";
import { ScriptedTransport } from "./support/simulation/memory_scripted.ts";
import { ManualSweeper } from "./support/simulation/memory_sweeper.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection over the doc example's pair of transports", async () => {
  const [near, far] = memoryPair();
  const a = new Connection(near);
  const b = new Connection(far);
  await a.send("Hi!");
  assertEquals(await b.receive(), utf8("Hi!"));
  await closeAll(a, b);
});

Deno.test("Connection has an id of its own unless it is given one", () => {
  const { connection: a } = scriptedConnection();
  const { connection: b } = scriptedConnection();
  const { connection: named } = scriptedConnection({ id: "agent-7" });
  assertNotEquals(a.id, b.id);
  assertEquals(named.id, "agent-7");
  for (const connection of [a, b, named]) connection.abort();
});

Deno.test("Connection.data holds what is put there, with its type", () => {
  const connection = new Connection(new ScriptedTransport(), {
    data: { user: "ada", calls: 0 },
    sweeper: new ManualSweeper(),
  });
  connection.data.calls += 2;
  const calls: number = connection.data.calls;
  // @ts-expect-error The type of the data is known.
  assertEquals(connection.data.nothing, undefined);
  assertEquals([connection.data.user, calls], ["ada", 2]);
  connection.abort();
});

Deno.test("Connection tells its addresses and its TLS session, if it has one", () => {
  const { connection, transport } = scriptedConnection();
  assertStrictEquals(connection.localAddr, transport.localAddr);
  assertStrictEquals(connection.remoteAddr, transport.remoteAddr);
  assertEquals([connection.tls, connection.stats().tls], [undefined, null]);
  connection.abort();

  const tls: TlsInfo = {
    backend: "node",
    protocol: "TLSv1.3",
    alpnProtocol: null,
    peerCertificate: null,
  };
  const secured = new Connection(Object.assign(new ScriptedTransport(), { tls }), {
    sweeper: new ManualSweeper(),
  });
  assertStrictEquals(secured.tls, tls);
  assertEquals(secured.stats().tls, { backend: "node", protocol: "TLSv1.3" });
  secured.abort();
});

Deno.test("Connection.tune() reaches the transport, and is refused where there is nothing to tune", () => {
  const { connection } = scriptedConnection();
  assertThrows(() => connection.tune({ noDelay: true }), TypeError, "no socket options");
  connection.ref();
  connection.unref();
  connection.abort();

  const calls: unknown[] = [];
  const transport = Object.assign(new ScriptedTransport(), {
    tune: (tuning: SocketTuning) => void calls.push(tuning),
    ref: () => void calls.push("ref"),
    unref: () => void calls.push("unref"),
  });
  const tuned = new Connection(transport, { sweeper: new ManualSweeper() });
  tuned.tune({ noDelay: false });
  tuned.unref();
  tuned.ref();
  assertEquals(calls, [{ noDelay: false }, "unref", "ref"]);
  tuned.abort();
});

Deno.test("Connection.stats() counts messages and bytes, held and queued ones", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const openedAtMs = connection.stats().openedAtMs;
  assert(Math.abs(Date.now() - openedAtMs) < 60_000);
  transport.hold();
  transport.feed(utf8("one\ntwo\nth"));
  connection.send("four");
  connection.send("");
  await settle();
  await connection.receive();
  const { id, state, bytesIn, bytesOut, messagesIn, messagesOut, heldBytes, queuedBytes } =
    connection
      .stats();
  assertEquals(
    { id, state, bytesIn, bytesOut, messagesIn, messagesOut, heldBytes, queuedBytes },
    {
      id: connection.id,
      state: "open",
      bytesIn: 10,
      bytesOut: 0,
      messagesIn: 1,
      messagesOut: 2,
      heldBytes: 6,
      queuedBytes: 6,
    },
  );
  transport.releaseAll();
  await connection.flush();
  assertEquals([connection.stats().bytesOut, connection.stats().queuedBytes], [6, 0]);
  assertEquals([connection.stats().closedAtMs, connection.stats().errorCode], [null, null]);
  connection.abort();
  const last = connection.stats();
  assertEquals([last.state, last.errorCode, last.openedAtMs], ["closed", "ERR_CLOSED", openedAtMs]);
  assertEquals(last.onlineMs, last.closedAtMs! - openedAtMs);
});

Deno.test("Connection.sending tells how far what was sent has come", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const { sending } = connection;
  const now = () => [sending.pushedBytes, sending.startedBytes, sending.writtenBytes];
  transport.hold();
  connection.send("one");
  assertEquals(now(), [4, 0, 0]);
  await settle();
  connection.send("three");
  assertEquals(now(), [10, 4, 0]);
  transport.release();
  await settle();
  assertEquals(now(), [10, 10, 4]);
  transport.release();
  await connection.flush();
  assertEquals(now(), [10, 10, 10]);
  connection.abort();
});

Deno.test("Connection tells its maker all that moved, once", async () => {
  const sum = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
  const onTraffic = (traffic: Traffic) => {
    for (const key of ["bytesIn", "bytesOut", "messagesIn", "messagesOut"] as const) {
      sum[key] += traffic[key];
    }
    return 0;
  };
  const [a, b] = connectedPair({ ...lines, onTraffic }, lines);
  const echoing = (async () => {
    for await (const message of b) await b.send(message);
    await b.close();
  })();
  for (let i = 0; i < 100; i++) {
    await a.send(`message ${i}`);
    await a.receive();
  }
  await a.close();
  await echoing;
  const { bytesIn, bytesOut, messagesIn, messagesOut } = a.stats();
  assertEquals(sum, { bytesIn, bytesOut, messagesIn, messagesOut });
  assertEquals([messagesIn, messagesOut], [100, 100]);
});

Deno.test("Connection tells its maker what moved at each sweep, when stats are asked for, and at its end", async () => {
  const told: Traffic[] = [];
  const onTraffic = (traffic: Traffic) => told.push(traffic) && 0;
  const { connection, transport, sweeper } = scriptedConnection({ ...lines, onTraffic });
  const sent = { bytesIn: 0, bytesOut: 4, messagesIn: 0, messagesOut: 1 };
  connection.send("one");
  await connection.flush();
  sweeper.advance(100);
  assertEquals(told, [sent]);
  connection.send("two");
  await connection.flush();
  connection.stats();
  assertEquals(told, [sent, sent]);
  connection.send("six");
  transport.endInput();
  await connection.close();
  assertEquals(told, [sent, sent, sent]);
});

Deno.test("Connection refuses wrong options before it touches its transport", () => {
  const untouched = new Proxy({}, {
    get() {
      throw new Error("The transport was touched");
    },
  }) as ScriptedTransport;
  const ranges: readonly (keyof ConnectionOptions)[] = [
    "maxMessageBytes",
    "highWaterBytes",
    "maxQueuedBytes",
    "readAheadBytes",
    "writeTimeoutMs",
    "messageTimeoutMs",
    "idleTimeoutMs",
    "closeTimeoutMs",
  ];
  for (const name of ranges) {
    for (const value of [-1, NaN, Infinity, 2 ** 40]) {
      assertThrows(
        () => new Connection(untouched, { [name]: value }),
        RangeError,
        `Cannot make the connection: "${name}" must be`,
      );
    }
    assertThrows(
      () => new Connection(untouched, { [name]: "5" }),
      TypeError,
      `"${name}" must be a number`,
    );
  }
  for (
    const name of ["maxMessageBytes", "highWaterBytes", "writeTimeoutMs", "closeTimeoutMs"] as const
  ) {
    assertThrows(
      () => new Connection(untouched, { [name]: 0 }),
      RangeError,
      `"${name}" must be 1 to`,
    );
  }
  assertThrows(
    () => new Connection(untouched, { highWaterBytes: 1000, maxQueuedBytes: 999 }),
    RangeError,
    `"maxQueuedBytes" must be 1000 to`,
  );
  assertThrows(
    () => new Connection(untouched, { framing: "lines" as unknown as Framing }),
    TypeError,
    `"framing" must be a Framing such as lengthPrefixed(), got string`,
  );
  assertThrows(
    () => new Connection(untouched, { framing: fixedLength(2000), maxMessageBytes: 1999 }),
    RangeError,
  );
});

Deno.test("Connection takes options at the ends of their ranges", () => {
  const smallest = scriptedConnection({
    framing: raw(),
    maxMessageBytes: 1,
    highWaterBytes: 1,
    maxQueuedBytes: 1,
    readAheadBytes: 1024,
    writeTimeoutMs: 1,
    messageTimeoutMs: 0,
    idleTimeoutMs: 0,
    closeTimeoutMs: 1,
  }).connection;
  const largest = scriptedConnection({
    maxMessageBytes: 2 ** 30,
    highWaterBytes: 2 ** 30,
    maxQueuedBytes: 2 ** 31,
    readAheadBytes: 2 ** 30,
    writeTimeoutMs: 2 ** 31 - 1,
    messageTimeoutMs: 2 ** 31 - 1,
    idleTimeoutMs: 2 ** 31 - 1,
    closeTimeoutMs: 2 ** 31 - 1,
  }).connection;
  smallest.abort();
  largest.abort();
});
