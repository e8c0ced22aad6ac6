// What a listening side, and a connecting one, hears of the other side's faults: each is reported
// once and counted.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, ParleyError } from "../../errors.ts";
import {
  connectIpc,
  type EncryptionProvider,
  type IpcErrorContext,
  type IpcServer,
  type IpcServerOptions,
  listenIpc,
  pairIpc,
  SecretKey,
} from "../../ipc/mod.ts";
import { encodeFrame, type FrameKind } from "../../ipc/protocol/frames.ts";
import { encodeHello, helloBytes, MessageType, Suite } from "../../ipc/secure/hello.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { settles, until } from "../support/wait.ts";
import { assertCode, Channel, text } from "./channels.ts";
import { Middle } from "./middle.ts";

/** What `onError` got: the phase and the code of each error. */
class Told {
  readonly all: string[] = [];
  readonly peers: (string | undefined)[] = [];

  readonly onError = (error: unknown, { phase, peer }: IpcErrorContext): void => {
    this.all.push(`${phase} ${error instanceof ParleyError ? error.code : error}`);
    this.peers.push(peer);
  };
}

const xor = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 0x55);
const OURS: EncryptionProvider = { name: "ours", seal: xor, open: xor };
const CANNOT_OPEN: EncryptionProvider = {
  name: "theirs",
  seal: xor,
  open: () => {
    throw new Error("Not mine");
  },
};

/** A client in another language: it speaks suite 00 without a secret. */
async function rawClient(port: number): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ port });
  const random = crypto.getRandomValues(new Uint8Array(32));
  const hello = { maxRecordBytes: 65536, maxMessageBytes: 65536, random, point: null };
  await conn.write(encodeHello(MessageType.clientHello, Suite.plain, hello));
  const m2 = new Uint8Array(helloBytes(Suite.plain));
  for (let at = 0; at < m2.length;) at += await conn.read(m2.subarray(at)) ?? m2.length;
  return conn;
}

async function plainServer(options: Partial<IpcServerOptions>): Promise<[IpcServer, number]> {
  const server = await listenIpc({
    ...{ name: "test", transport: "tcp", port: 0, encryption: false, insecureAnonymous: true },
    ...options,
  } as IpcServerOptions);
  return [server, (server.addr as Deno.NetAddr).port];
}

Deno.test("IpcServer reports and counts each way to break the protocol, beside clients that do not", async () => {
  const told = new Told();
  const [server, port] = await plainServer({ onError: told.onError, maxMessageBytes: 2048 });
  const quiet = { encryption: false, insecureAnonymous: true } as const;
  const good = await connectIpc({ name: "test", transport: "tcp", port, ...quiet });
  const frame = (kind: number, tag: number, bytes = 0) =>
    encodeFrame(kind as FrameKind, tag, new Uint8Array(bytes));
  const cases: [string, string, Uint8Array][] = [
    ["an unknown kind", "ERR_IPC_FRAME", frame(200, 0)],
    ["a message of type 0", "ERR_IPC_FRAME", frame(1, 0)],
    ["an answer to nothing", "ERR_IPC_FRAME", frame(3, 99)],
    ["a ping with data", "ERR_IPC_FRAME", frame(5, 1, 1)],
    ["two last words", "ERR_IPC_FRAME", new Uint8Array([...frame(7, 0), ...frame(7, 0)])],
    ["a message over the limit", "ERR_FRAME_TOO_LARGE", frame(1, 1, 2049)],
    ["a length of 0", "ERR_FRAME_MALFORMED", new Uint8Array(9)],
    ["an end inside a head", "ERR_FRAME_TRUNCATED", frame(1, 1, 100).subarray(0, 5)],
    ["an end inside a message", "ERR_FRAME_TRUNCATED", frame(1, 1, 100).subarray(0, 50)],
  ];
  for (const [index, [name, code, bytes]] of cases.entries()) {
    const conn = await rawClient(port);
    const { hostname, port: from } = conn.localAddr as Deno.NetAddr;
    await conn.write(bytes);
    await conn.closeWrite();
    await until(name, () => told.all.length > index);
    assertEquals([name, told.all[index]], [name, `connection ${code}`]);
    assertEquals(told.peers[index], `${hostname}:${from}`);
    conn.close();
  }
  assertEquals(told.all.length, cases.length);
  assertEquals([server.stats().overall.protocolErrors, server.stats().overall.handlerErrors], [
    cases.length,
    0,
  ]);
  assertEquals([good.status, server.clients.size], ["connected", 1]);
  await good.close();
  await server.shutdown();
});

Deno.test("IpcServer reports nothing of clients that close, hang up between messages or are aborted", async () => {
  const told = new Told();
  const [server, port] = await plainServer({ onError: told.onError });
  const options = {
    name: "test",
    transport: "tcp",
    port,
    encryption: false,
    insecureAnonymous: true,
  } as const;
  const closes = await connectIpc(options);
  await closes.close();
  const aborts = await connectIpc(options);
  aborts.abort(new Error("gone"));
  const raw = await rawClient(port);
  raw.close();
  const aborted = await connectIpc({ ...options, reconnect: false });
  server.clients.forEach((client) => client.abort(new Error("away with you")));
  await settles("the end", aborted.closed);
  await until("all have gone", () => server.stats().overall.connectionsClosed === 4);
  assertEquals([told.all, server.stats().overall.protocolErrors], [[], 0]);
  await server.shutdown();
});

Deno.test("IpcServer reports a client that gives no sign of life, once", async () => {
  const told = new Told();
  const [server, port] = await plainServer({
    onError: told.onError,
    keepaliveMs: 20,
    keepaliveTimeoutMs: 20,
  });
  const silent = await rawClient(port);
  await until("it was cut", () => told.all.length > 0);
  assertEquals(told.all, ["connection ERR_KEEPALIVE_TIMEOUT"]);
  assertEquals(server.stats().overall.protocolErrors, 0);
  silent.close();
  await server.shutdown();
});

type Tampering = [what: string, code: string, change: (unit: Uint8Array) => Uint8Array];
const TAMPERINGS: Tampering[] = [
  [
    "a bit of a record is flipped",
    "ERR_IPC_RECORD",
    (unit) => unit.map((byte, i) => i === 9 ? byte ^ 1 : byte),
  ],
  ["the line ends inside a record", "ERR_FRAME_TRUNCATED", (unit) => unit.subarray(0, 9)],
];
for (const [what, code, change] of TAMPERINGS) {
  Deno.test(`IpcServer reports and counts it when ${what} on the way`, async () => {
    await using channel = new Channel();
    await using dir = new TempDir();
    const told = new Told();
    const options = { ...channel.options, secret: SecretKey.generate() };
    await using server = await listenIpc({
      ...options,
      onError: told.onError,
      onQuery: (data) => data,
    });
    await using steady = await connectIpc(options);
    let tamper = false;
    let passed = 0;
    await using middle = new Middle(`${dir.path}/middle`, channel.path, {
      client: (unit) => {
        if (!tamper) return unit;
        passed++;
        return change(unit);
      },
    });
    const client = await connectIpc({ ...options, path: middle.path, reconnect: false });
    await client.query("as it was");
    tamper = true;
    const asked = client.query("changed on the way");
    asked.catch(() => {});
    await until("it was changed", () => passed === 1);
    if (code === "ERR_FRAME_TRUNCATED") client.abort(new Error("killed"));
    await settles("the end", client.closed);
    await assertRejects(() => asked);
    await until("it was reported", () => told.all.length > 0);
    assertEquals(told.all, [`connection ${code}`]);
    assertEquals(server.stats().overall.protocolErrors, 1);
    assertEquals(steady.status, "connected");
  });
}

Deno.test("connectIpc settles with a reason when the server cannot open what its provider seals, told on both sides", async () => {
  await using channel = new Channel();
  const told = new Told();
  await using server = await listenIpc({
    ...channel.options,
    encryption: CANNOT_OPEN,
    onError: told.onError,
  });
  const connecting = connectIpc({ ...channel.options, encryption: OURS });
  const error = await settles("connecting", assertRejects(() => connecting, ClosedError));
  assertEquals(error.code, "ERR_RESET");
  assert(error.message.includes('cannot open what the provider "ours" seals'), error.message);
  await until("all were reported", () => told.all.length >= 3);
  assertEquals(told.all, Array(3).fill("connection ERR_IPC_RECORD"));
  assertEquals([server.stats().overall.protocolErrors, server.stats().overall.connectionsOpened], [
    3,
    3,
  ]);
});

Deno.test("connectIpc rejects with ERR_IPC_RECORD when it cannot open what the server seals", async () => {
  await using channel = new Channel();
  await using _server = await listenIpc({
    ...channel.options,
    encryption: OURS,
    onError: () => {},
  });
  await assertCode(
    "ERR_IPC_RECORD",
    () => connectIpc({ ...channel.options, encryption: CANNOT_OPEN }),
  );
});

for (const reconnect of [false, undefined] as const) {
  Deno.test(`pairIpc with another provider than the first process settles, reconnect: ${reconnect}`, async () => {
    await using channel = new Channel();
    const told = new Told();
    const first = { ...channel.options, encryption: CANNOT_OPEN, onError: told.onError };
    await using one = await pairIpc(first, () => "");
    const second = pairIpc({ ...channel.options, encryption: OURS, reconnect }, () => "");
    const error = await settles("the second", assertRejects(() => second, ClosedError));
    assert(error.message.includes('the provider "ours"'), error.message);
    assertEquals(one.stats().overall.connectionsOpened, 3);
    await until("all were reported", () => told.all.length >= 3);
    assertEquals(told.all, Array(3).fill("connection ERR_IPC_RECORD"));
  });
}

Deno.test("a provider that fails to seal ends the connection, and its program hears of that", async () => {
  await using channel = new Channel();
  const told = new Told();
  let broken = false;
  const seal = (plain: Uint8Array) => {
    if (broken) throw new Error("No more keys");
    return xor(plain);
  };
  await using server = await listenIpc({
    ...channel.options,
    encryption: { ...OURS, seal },
    onError: told.onError,
  });
  const client = await connectIpc({ ...channel.options, encryption: OURS, reconnect: false });
  broken = true;
  await server.send(1, "x");
  await settles("the end", client.closed);
  await until("it was reported", () => told.all.length > 0);
  assertEquals(told.all, ["connection ERR_IPC_PROVIDER"]);
  assertEquals(server.stats().overall.protocolErrors, 0);
});

Deno.test("IpcServerClient.close forGood turns a client or a pair's process out: it does not come back", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery: () => "answered" });
  const told = new Told();
  const turnedOut = await connectIpc({ ...channel.options, onError: told.onError });
  const [there] = server.clients.values();
  await there!.close({ forGood: true });
  await settles("the end", turnedOut.closed);
  assertEquals(turnedOut.status, "error");
  await assertCode("ERR_FORBIDDEN", () => turnedOut.receive());
  await assertCode("ERR_FORBIDDEN", () => turnedOut.query(""));
  assertEquals(told.all, ["connect ERR_FORBIDDEN"]);
  const pair = await pairIpc({ ...channel.options, onError: told.onError }, () => "");
  await server.clients.values().next().value!.close({ forGood: true });
  await settles("the end of the pair", pair.closed);
  assertEquals([pair.status, told.all.length], ["error", 2]);
  assertEquals(server.stats().overall.connectionsOpened, 2);
  // Without, it comes back.
  await using closed = await connectIpc(channel.options);
  await server.clients.values().next().value!.close();
  await until("it is connected again", () => server.stats().overall.connectionsOpened === 4);
  assertEquals(text(await settles("an answer", closed.query(""))), "answered");
});

Deno.test("IpcServer that is full reports the limit once, not once a client", async () => {
  await using channel = new Channel();
  const told = new Told();
  const errors: unknown[] = [];
  await using _server = await listenIpc({
    ...channel.options,
    maxClients: 1,
    onError: (error, context) => {
      errors.push(error);
      told.onError(error, context);
    },
  });
  await using _first = await connectIpc(channel.options);
  for (let count = 0; count < 2; count++) {
    await assertCode("ERR_BUSY", () => connectIpc(channel.options));
  }
  assertEquals(told.all, ["refused ERR_TOO_MANY_CONNECTIONS"]);
  assert(
    (errors[0] as Error).message.includes('"maxClients" allows, 1'),
    (errors[0] as Error).message,
  );
});

Deno.test("IpcServer with as many handshakes as it may have reports that once, and counts those that gave way", async () => {
  const told = new Told();
  const [server, port] = await plainServer({ onError: told.onError, maxPending: 1 });
  const idle: Deno.Conn[] = [];
  for (let count = 0; count < 3; count++) idle.push(await Deno.connect({ port }));
  await until("two gave way", () => server.stats().overall.connectionsRefused >= 2);
  assertEquals(told.all, ["refused ERR_TOO_MANY_CONNECTIONS"]);
  for (const conn of idle) conn.close();
  await server.shutdown();
});
