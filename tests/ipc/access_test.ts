// Access: every way to connect, addresses, secrets, other programs at the address.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AddressError, AuthError, ParleyError, TimeoutError } from "../../errors.ts";
import {
  connectIpc,
  type EncryptionProvider,
  type IpcClientOptions,
  type IpcServerOptions,
  listenIpc,
  SecretKey,
} from "../../ipc/mod.ts";
import { testCerts } from "../support/programs/certs.ts";
import { settles, until } from "../support/wait.ts";
import { assertCode, Channel, text } from "./channels.ts";
import { newSeed, Random } from "./support.ts";

/** XORs with bytes made of what only both sides know. */
const XOR: EncryptionProvider = {
  name: "xor",
  seal: (plain, { exporter, sequence }) =>
    plain.map((byte, i) => byte ^ exporter[(i + sequence) % 48]!),
  open: (sealed, { exporter, sequence }) =>
    Promise.resolve(sealed.map((byte, i) => byte ^ exporter[(i + sequence) % 48]!)),
};

const WAYS: [
  string,
  (certs: Awaited<ReturnType<typeof testCerts>>) => {
    server: Partial<IpcServerOptions>;
    client: Partial<IpcClientOptions>;
  },
][] = [
  ["encrypted, key file", () => ({ server: {}, client: {} })],
  ["plain, key file", () => ({ server: { encryption: false }, client: { encryption: false } })],
  [
    "anonymous",
    () => ({ server: { insecureAnonymous: true }, client: { insecureAnonymous: true } }),
  ],
  ["anonymous and plain", () => {
    const both = { insecureAnonymous: true, encryption: false };
    return { server: both, client: both };
  }],
  ["own provider", () => ({ server: { encryption: XOR }, client: { encryption: XOR } })],
  [
    "TLS beneath",
    (certs) => ({
      server: { tls: { cert: certs.server.cert, key: certs.server.key } },
      client: { tls: { caCerts: [certs.ca.cert] } },
    }),
  ],
  ["small records", () => ({ server: { maxRecordBytes: 1024 }, client: { maxRecordBytes: 1024 } })],
];

for (const [name, make] of WAYS) {
  Deno.test(`listenIpc and connectIpc carry messages and queries both ways: ${name}`, async () => {
    const ways = make(await testCerts());
    await using channel = new Channel();
    await using server = await listenIpc({
      ...channel.options,
      ...ways.server,
      onQuery: (data) => data.toReversed(),
    });
    await using client = await connectIpc({
      ...channel.options,
      ...ways.client,
      onQuery: (data) => Promise.resolve(`client heard ${text(data)}`),
    });
    assertEquals([server.status, client.status, server.clients.size], [
      "connected",
      "connected",
      1,
    ]);
    assertEquals(await client.query(new Uint8Array([1, 2, 3])), new Uint8Array([3, 2, 1]));
    assertEquals(await client.query(""), new Uint8Array(0));
    assertEquals(text(await server.query("hi")), "client heard hi");
    const random = new Random(newSeed());
    for (const size of [0, 1, 100, 5000, 70_000, 1_500_000]) {
      const data = random.bytes(size);
      await client.send(size + 1, data);
      const message = await settles("a message", server.receive());
      assertEquals([message?.type, message?.data], [size + 1, data]);
      assertEquals(message?.client, [...server.clients.values()][0]);
      await message!.client.send(7, data);
      const back = await settles("an answer", client.receive());
      assertEquals([back?.type, back?.data], [7, data]);
      assertEquals(await client.query(data), data.toReversed());
    }
    await client.flush();
    assertEquals(client.sessionId, [...server.clients.keys()][0]);
  });
}

Deno.test("connectIpc works over TCP with host and port from options, and TLS", async () => {
  const certs = await testCerts();
  const secret = SecretKey.generate();
  for (const transport of ["tcp", "tcp4", "tcp6"] as const) {
    for (const tls of [false, true]) {
      const common = { name: "test", transport, secret };
      await using server = await listenIpc({
        ...common,
        port: 0,
        ...(tls ? { tls: { cert: certs.server.cert, key: certs.server.key } } : {}),
        onQuery: (data) => data,
      });
      const port = server.addr.transport === "tcp" ? server.addr.port : 0;
      await using client = await connectIpc({
        ...common,
        port,
        ...(tls ? { tls: { caCerts: [certs.ca.cert], serverName: "localhost" } } : {}),
      });
      assertEquals(text(await client.query("over TCP")), "over TCP");
    }
  }
});

Deno.test("listenIpc refuses a second server, and works again once the first has closed", async () => {
  await using channel = new Channel();
  const first = await listenIpc(channel.options);
  await assertCode("ERR_ADDRESS_IN_USE", () => listenIpc(channel.options));
  await first.shutdown();
  await using second = await listenIpc(channel.options);
  assertEquals(second.status, "listening");
});

Deno.test("connectIpc waits for a server that starts later", async () => {
  await using channel = new Channel();
  const connecting = connectIpc(channel.options);
  await using server = await listenIpc({ ...channel.options, onQuery: () => "late" });
  await using client = await settles("connecting", connecting);
  assertEquals(text(await client.query("")), "late");
  assertEquals(server.clients.size, 1);
});

Deno.test("connectIpc gives up at its time limit, on its signal, and never with 0", async () => {
  await using channel = new Channel();
  const error = await assertRejects(
    () => connectIpc({ ...channel.options, connectTimeoutMs: 1000 }),
    TimeoutError,
  );
  assertEquals(error.code, "ERR_CONNECT_TIMEOUT");
  assertEquals((error.cause as ParleyError).code, "ERR_CONNECT_REFUSED");
  const controller = new AbortController();
  const forEver = connectIpc({
    ...channel.options,
    connectTimeoutMs: 0,
    signal: controller.signal,
  });
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await forEver.catch((error) => error), reason);
});

Deno.test("connectIpc tells wrong secrets, missing ones and other programs apart, and so does the server", async () => {
  const secret = SecretKey.generate();
  const cases: [string, Partial<IpcServerOptions>, Partial<IpcClientOptions>, string, string[]][] =
    [
      ["wrong secret", { secret }, { secret: SecretKey.generate() }, "ERR_AUTH", ["wrong proof"]],
      ["no secret", { secret }, { insecureAnonymous: true }, "ERR_AUTH", ["wrong proof"]],
      ["server without", { insecureAnonymous: true }, { secret }, "ERR_AUTH", ["wrong proof"]],
      ["other channel name", { secret }, { secret, name: "other" }, "ERR_AUTH", ["wrong proof"]],
      ["plain client", { secret }, { secret, encryption: false }, "ERR_NOT_OUR_PROTOCOL", [
        "other suite",
      ]],
      ["plain server", { secret, encryption: false }, { secret }, "ERR_NOT_OUR_PROTOCOL", [
        "other suite",
      ]],
      [
        "plain, no secret",
        { secret, encryption: false },
        { insecureAnonymous: true, encryption: false },
        "ERR_AUTH",
        ["wrong proof", "closed early", "timed out"],
      ],
    ];
  for (const [name, server, client, code, reasons] of cases) {
    await using channel = new Channel();
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    await using listening = await listenIpc({
      ...channel.options,
      ...server,
      onError,
      handshakeTimeoutMs: 1500, // below that of the client, and enough on a busy machine
    });
    await assertCode(code, () => connectIpc({ ...channel.options, ...client }), name);
    await until(`the server's error: ${name}`, () => errors.length > 0);
    for (const error of errors) {
      assert(
        error instanceof AuthError && error.code === "ERR_AUTH" || error instanceof TimeoutError,
        `${name}: ${error}`,
      );
    }
    for (const reason of Object.keys(listening.stats().failed)) {
      assert(reasons.includes(reason), `${name}: ${reason}`);
    }
    assertEquals(listening.clients.size, 0);
  }
});

Deno.test("connectIpc recognises another program at the address, whether it talks, closes or stays silent", async () => {
  for (const greeting of ["HTTP/1.1 400 Bad Request\r\n\r\n", "", null]) {
    await using channel = new Channel();
    const other = Deno.listen({ transport: "unix", path: channel.path });
    await Deno.chmod(channel.path, 0o600);
    const open: Deno.UnixConn[] = [];
    const accepting = (async () => {
      for await (const conn of other) {
        if (greeting) await conn.write(new TextEncoder().encode(greeting)).catch(() => {});
        if (greeting === "") conn.close();
        else open.push(conn as Deno.UnixConn);
      }
    })().catch(() => {});
    // Short where it must pass; on a busy machine even what answers takes its time.
    const handshakeTimeoutMs = greeting === null ? 200 : 10_000;
    const options = { ...channel.options, secret: SecretKey.generate(), handshakeTimeoutMs };
    const error = await settles(
      "the refusal",
      assertRejects(() => connectIpc(options), ParleyError),
    );
    assert(
      greeting === null
        ? error.code === "ERR_HANDSHAKE_TIMEOUT"
        : error instanceof AddressError && error.code === "ERR_NOT_OUR_PROTOCOL",
      `${error}`,
    );
    await assertCode("ERR_ADDRESS_IN_USE", () => listenIpc(options));
    other.close();
    await accepting;
    for (const conn of open) conn.close();
  }
});

Deno.test("listenIpc outlives garbage and silence, and lets the good in meanwhile", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({
    ...channel.options,
    onQuery: (data) => data,
    onError: () => {},
    handshakeTimeoutMs: 1500, // the good one is in by then on a busy machine as well
  });
  const dial = () => Deno.connect({ transport: "unix", path: channel.path });
  const silent = await Promise.all([dial(), dial(), dial()]);
  const noisy = await dial();
  await noisy.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  const buffer = new Uint8Array(1);
  assertEquals(
    await settles("the noisy one's end", noisy.read(buffer)).catch(() => null),
    null,
    "nothing is sent back",
  );
  await using client = await connectIpc(channel.options);
  assertEquals(text(await client.query("good")), "good");
  for (const conn of silent) {
    assertEquals(await settles("a silent one's end", conn.read(buffer)), null);
  }
  for (const conn of [...silent, noisy]) conn.close();
  await until("all are counted", () => server.stats().failed["timed out"] === 3);
  assertEquals(server.stats().failed, { "not our protocol": 1, "timed out": 3 });
});

Deno.test("secrets rotate: a server takes any of four, a client proves its first", async () => {
  await using channel = new Channel();
  const keys = Array.from({ length: 4 }, () => SecretKey.generate());
  await using server = await listenIpc({
    ...channel.options,
    secret: keys,
    onQuery: (data) => data,
    onError: () => {},
  });
  for (const secret of [...keys, [keys[3]!, SecretKey.generate()]]) {
    await using client = await connectIpc({ ...channel.options, secret });
    assertEquals(text(await client.query("x")), "x");
  }
  await assertCode(
    "ERR_AUTH",
    () => connectIpc({ ...channel.options, secret: [SecretKey.generate(), keys[0]!] }),
  );
  assertEquals(server.status, "listening");
  await assertRejects(
    () => listenIpc({ ...channel.options, secret: [...keys, SecretKey.generate()] }),
    RangeError,
  );
});

Deno.test("a passphrase serves as secret", async () => {
  await using channel = new Channel();
  const secret = "correct horse battery";
  await using server = await listenIpc({ ...channel.options, secret, onQuery: (data) => data });
  await using client = await connectIpc({ ...channel.options, secret });
  assertEquals(text(await client.query("x")), "x");
  assertEquals(server.clients.size, 1);
});

Deno.test("the channel's key file is made for this user alone, gone with the server, and refused when it is loose", async () => {
  await using channel = new Channel();
  const keyPath = `${channel.path}.key`;
  const server = await listenIpc(channel.options);
  const made = await Deno.readFile(keyPath);
  assertEquals([made.length, (await Deno.lstat(keyPath)).mode! & 0o777], [32, 0o600]);
  await server.shutdown();
  await assertRejects(() => Deno.lstat(keyPath), Deno.errors.NotFound);
  // One that was there before, beside a socket of a path of the user's, is used and left there.
  await Deno.writeFile(keyPath, made, { mode: 0o600 });
  await (await listenIpc(channel.options)).shutdown();
  assertEquals(await Deno.readFile(keyPath), made);
  await Deno.chmod(keyPath, 0o644);
  await assertCode("ERR_FORBIDDEN", () => listenIpc(channel.options));
  await assertCode("ERR_FORBIDDEN", () => connectIpc(channel.options));
  await assertRejects(
    () => listenIpc({ ...channel.options, permissions: "group" }),
    TypeError,
    "secret",
  );
  await assertRejects(
    () => listenIpc({ name: "x", transport: "tcp", hostname: "0.0.0.0", port: 0 }),
    TypeError,
    "secret",
  );
});

Deno.test("listenIpc and connectIpc refuse options that are out of range, before any I/O", async () => {
  await using channel = new Channel();
  const bad: [Partial<IpcServerOptions>, typeof TypeError | typeof RangeError][] = [
    [{ maxMessageBytes: 1023 }, RangeError],
    [{ maxMessageBytes: 2 ** 30 + 1 }, RangeError],
    [{ maxRecordBytes: 1023 }, RangeError],
    [{ maxRecordBytes: 2 ** 20 + 1 }, RangeError],
    [{ handshakeTimeoutMs: 0 }, RangeError],
    [{ queryTimeoutMs: 0 }, RangeError],
    [{ keepaliveMs: -1 }, RangeError],
    [{ highWaterBytes: 0 }, RangeError],
    [{ highWaterBytes: 100, maxQueuedBytes: 99 }, RangeError],
    [{ readAheadBytes: 1 }, RangeError],
    [{ maxClients: 0 }, RangeError],
    [{ maxPending: 65537 }, RangeError],
    [{ secret: "short" }, RangeError],
    [{ secret: [] }, RangeError],
    [{ secret: {} as SecretKey }, TypeError],
    [{ secret: SecretKey.generate(), insecureAnonymous: true }, TypeError],
    [{ encryption: {} as EncryptionProvider }, TypeError],
    [{ encryption: { ...XOR, name: "" } }, RangeError],
    [{ onQuery: 5 as unknown as () => void }, TypeError],
    [{ onError: 5 as unknown as () => void }, TypeError],
    [{ logger: {} as never }, TypeError],
  ];
  for (const [options, kind] of bad) {
    const what = JSON.stringify(options);
    await assertRejects(() => listenIpc({ ...channel.options, ...options }), kind, undefined, what);
  }
  await assertRejects(() => connectIpc({ ...channel.options, connectTimeoutMs: -1 }), RangeError);
  await assertRejects(
    () => connectIpc({ ...channel.options, reconnect: { minDelayMs: -1 } }),
    RangeError,
  );
  assertEquals([...Deno.readDirSync(channel.path.slice(0, channel.path.lastIndexOf("/")))], []);
});
