// Servers and clients over real sockets: messages, queries, limits, ends.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AddressError,
  AuthError,
  ClosedError,
  FramingError,
  ParleyError,
  RemoteError,
  TimeoutError,
} from "../../errors.ts";
import {
  connectIpc,
  type EncryptionProvider,
  type IpcClientOptions,
  type IpcServerOptions,
  listenIpc,
  SecretKey,
} from "../../ipc/mod.ts";
import { testCerts } from "../support/certs.ts";
import { settles, until } from "../support/wait.ts";
import { Channel } from "./channels.ts";
import { newSeed, Random } from "./support.ts";

const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data);

/** XORs with bytes made of what only both sides know. */
const XOR: EncryptionProvider = {
  name: "xor",
  seal: (plain, { exporter, sequence }) => plain.map((byte, i) => byte ^ exporter[(i + sequence) % 48]!),
  open: (sealed, { exporter, sequence }) =>
    Promise.resolve(sealed.map((byte, i) => byte ^ exporter[(i + sequence) % 48]!)),
};

async function assertCode(code: string, run: () => Promise<unknown>, what?: string): Promise<void> {
  const error = await settles(what ?? code, assertRejects(run, ParleyError, undefined, what));
  assertEquals(error.code, code, what);
}

const WAYS: [
  string,
  (certs: Awaited<ReturnType<typeof testCerts>>) => {
    server: Partial<IpcServerOptions>;
    client: Partial<IpcClientOptions>;
  },
][] = [
  ["encrypted, key file", () => ({ server: {}, client: {} })],
  ["plain, key file", () => ({ server: { encryption: false }, client: { encryption: false } })],
  ["anonymous", () => ({ server: { insecureAnonymous: true }, client: { insecureAnonymous: true } })],
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
    assertEquals([server.status, client.status, server.clients.size], ["connected", "connected", 1]);
    assertEquals(await client.query(new Uint8Array([1, 2, 3])), new Uint8Array([3, 2, 1]));
    assertEquals(await client.query(""), new Uint8Array(0));
    assertEquals(text(await server.query("hi")), "client heard hi");
    const random = new Random(newSeed());
    for (const size of [0, 1, 100, 5000, 70_000, 1_500_000]) {
      const data = random.bytes(size);
      await client.write(size + 1, data);
      const message = await settles("a message", server.read());
      assertEquals([message?.type, message?.data], [size + 1, data]);
      assertEquals(message?.client, [...server.clients.values()][0]);
      await message!.client.write(7, data);
      const back = await settles("an answer", client.read());
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
  await first.close();
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
    () => connectIpc({ ...channel.options, connectTimeoutMs: 60 }),
    TimeoutError,
  );
  assertEquals(error.code, "ERR_CONNECT_TIMEOUT");
  assertEquals((error.cause as ParleyError).code, "ERR_CONNECT_REFUSED");
  const controller = new AbortController();
  const forEver = connectIpc({ ...channel.options, connectTimeoutMs: 0, signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await forEver.catch((error) => error), reason);
});

Deno.test("connectIpc tells wrong secrets, missing ones and other programs apart, and so does the server", async () => {
  const secret = SecretKey.generate();
  const cases: [string, Partial<IpcServerOptions>, Partial<IpcClientOptions>, string, string[]][] = [
    ["wrong secret", { secret }, { secret: SecretKey.generate() }, "ERR_AUTH", ["wrong proof"]],
    ["no secret", { secret }, { insecureAnonymous: true }, "ERR_AUTH", ["wrong proof"]],
    ["server without", { insecureAnonymous: true }, { secret }, "ERR_AUTH", ["wrong proof"]],
    ["other channel name", { secret }, { secret, name: "other" }, "ERR_AUTH", ["wrong proof"]],
    ["plain client", { secret }, { secret, encryption: false }, "ERR_NOT_OUR_PROTOCOL", ["other suite"]],
    ["plain server", { secret, encryption: false }, { secret }, "ERR_NOT_OUR_PROTOCOL", ["other suite"]],
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
      handshakeTimeoutMs: 500,
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
    const options = { ...channel.options, secret: SecretKey.generate(), handshakeTimeoutMs: 200 };
    const error = await settles("the refusal", assertRejects(() => connectIpc(options), ParleyError));
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
    handshakeTimeoutMs: 300,
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
  for (const conn of silent) assertEquals(await settles("a silent one's end", conn.read(buffer)), null);
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

Deno.test("the channel's key file is made for this user alone, kept, and refused when it is loose", async () => {
  await using channel = new Channel();
  const keyPath = `${channel.path}.key`;
  await (await listenIpc(channel.options)).close();
  const made = await Deno.readFile(keyPath);
  assertEquals([made.length, (await Deno.lstat(keyPath)).mode! & 0o777], [32, 0o600]);
  await (await listenIpc(channel.options)).close();
  assertEquals(await Deno.readFile(keyPath), made);
  await Deno.chmod(keyPath, 0o644);
  await assertCode("ERR_FORBIDDEN", () => listenIpc(channel.options));
  await assertCode("ERR_FORBIDDEN", () => connectIpc(channel.options));
  await assertRejects(() => listenIpc({ ...channel.options, permissions: "group" }), TypeError, "secret");
  await assertRejects(
    () => listenIpc({ name: "x", transport: "tcp", hostname: "0.0.0.0", port: 0 }),
    TypeError,
    "secret",
  );
});

Deno.test("read gives up at its time limit or signal and loses no message, in a storm of time-outs", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  const random = new Random(newSeed());
  const total = 400;
  const sending = (async () => {
    for (let i = 1; i <= total; i++) {
      await client.write(i, new Uint8Array(random.below(50)));
      if (random.below(4) === 0) await new Promise((resolve) => setTimeout(resolve, random.below(3)));
    }
  })();
  const types: number[] = [];
  let timeouts = 0;
  while (types.length < total) {
    // Many waits at once, most too short; the first to wait gets the first that comes.
    const waits = Array.from({ length: 1 + random.below(8) }, () => {
      const kind = random.below(3);
      const signal = kind === 0 ? AbortSignal.timeout(random.below(2)) : undefined;
      return server.read({ timeoutMs: random.below(3), ...(signal === undefined ? {} : { signal }) });
    });
    for (const result of await Promise.allSettled(waits)) {
      if (result.status === "fulfilled") {
        types.push(result.value!.type);
        continue;
      }
      timeouts++;
      const { code, name } = result.reason;
      assert(code === "ERR_READ_TIMEOUT" || name === "TimeoutError", `${result.reason}`);
    }
  }
  await sending;
  assertEquals(types, Array.from({ length: total }, (_, i) => i + 1));
  assert(timeouts > 100, `${timeouts} time-outs`);
});

Deno.test("read with 0 ms never waits, and an aborted signal rejects with its reason", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  await assertCode("ERR_READ_TIMEOUT", () => server.read({ timeoutMs: 0 }));
  await client.write(1, "x");
  await client.flush();
  assertEquals((await server.read({ timeoutMs: 0 }))?.type, 1);
  const reason = new Error("no");
  assertEquals(await server.read({ signal: AbortSignal.abort(reason) }).catch((error) => error), reason);
  await assertRejects(() => server.read({ timeoutMs: -1 }), RangeError);
});

Deno.test("read takes turns between clients; readRound takes one of each or, at the time limit, what there is", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using a = await connectIpc(channel.options);
  await using b = await connectIpc(channel.options);
  for (let i = 1; i <= 3; i++) await a.write(i, "");
  await a.flush();
  for (let i = 11; i <= 13; i++) await b.write(i, "");
  await b.flush();
  const types: number[] = [];
  for (let i = 0; i < 4; i++) types.push((await server.read())!.type);
  assertEquals(types, [1, 11, 2, 12]);
  const round = await server.readRound();
  assertEquals(round.map((message) => message.type), [3, 13]);
  await b.write(14, "");
  await b.flush();
  assertEquals((await server.readRound({ timeoutMs: 30 })).map((message) => message.type), [14]);
  await a.write(4, "");
  await a.flush();
  const controller = new AbortController();
  const waiting = server.readRound({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  const last = server.readRound();
  await b.write(15, "");
  assertEquals((await settles("the round", last)).map((message) => message.type), [4, 15]);
});

Deno.test("a server reads one client at a time as well, and iterates", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using a = await connectIpc(channel.options);
  await using b = await connectIpc(channel.options);
  await b.write(2, "b");
  await b.flush();
  const fromA = server.clients.get(a.sessionId!)!;
  await a.write(1, "a");
  assertEquals(text((await fromA.read())?.data), "a");
  for await (const { client, type } of server) {
    assertEquals([client.id, type], [b.sessionId, 2]);
    break;
  }
  await server.write(9, "all");
  assertEquals([(await a.read())?.type, (await b.read())?.type], [9, 9]);
  await assertRejects(() => server.query("who?"), TypeError);
});

Deno.test("query has many in flight, answers out of order, and a time limit each", async () => {
  await using channel = new Channel();
  const held: PromiseWithResolvers<string>[] = [];
  await using _server = await listenIpc({
    ...channel.options,
    onQuery: (data) => {
      if (text(data) !== "hold") return data;
      held.push(Promise.withResolvers());
      return held.at(-1)!.promise;
    },
  });
  await using client = await connectIpc(channel.options);
  const slow = client.query("hold");
  await assertCode("ERR_READ_TIMEOUT", () => client.query("hold", { timeoutMs: 20 }));
  const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => client.query(`${i}`)));
  assertEquals(answers.map(text), Array.from({ length: 500 }, (_, i) => `${i}`));
  const controller = new AbortController();
  const aborted = client.query("hold", { signal: controller.signal });
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertEquals(await aborted.catch((error) => error), reason);
  for (const wait of held) wait.resolve("done"); // two of them come too late and are dropped
  assertEquals(text(await slow), "done");
  assertEquals(text(await client.query("still fine")), "still fine");
});

Deno.test("query tells how the other side failed, and nothing it did not mean to tell", async () => {
  await using channel = new Channel();
  const errors: unknown[] = [];
  await using server = await listenIpc({
    ...channel.options,
    onError: (error, { phase }) => errors.push([phase, error]),
    onQuery: (data) => {
      switch (text(data)) {
        case "throw":
          throw new Error("secret path /home/x");
        case "reject":
          return Promise.reject(new Error("secret path /home/x"));
        case "remote":
          throw new RemoteError("ERR_NOT_TODAY", "come back\x1b[31m tomorrow");
        case "large":
          return new Uint8Array(4_000_000);
        case "number":
          return 7 as unknown as string;
        default:
          return undefined;
      }
    },
  });
  await using client = await connectIpc(channel.options);
  const failure = async (query: string) => {
    const error = await assertRejects(() => client.query(query), RemoteError);
    return [error.code, error.message];
  };
  assertEquals(await failure("throw"), ["ERR_HANDLER", "The handler failed"]);
  assertEquals(await failure("reject"), ["ERR_HANDLER", "The handler failed"]);
  assertEquals(await failure("remote"), ["ERR_NOT_TODAY", "come back\\x1b[31m tomorrow"]);
  assertEquals(await failure("large"), ["ERR_FRAME_TOO_LARGE", "The handler failed"]);
  assertEquals(await failure("number"), ["ERR_HANDLER", "The handler failed"]);
  assertEquals(await client.query("nothing"), new Uint8Array(0));
  assertEquals(errors.length, 5);
  const error = await assertRejects(() => server.query("?"), RemoteError);
  assertEquals(error.code, "ERR_NO_HANDLER");
});

Deno.test("a message of the other side's limit passes, one byte more is refused before it is sent", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, maxMessageBytes: 2000, onQuery: () => "ok" });
  await using client = await connectIpc(channel.options);
  await client.write(1, new Uint8Array(2000));
  assertEquals((await server.read())?.data.length, 2000);
  const error = await assertRejects(() => client.write(1, new Uint8Array(2001)), FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  await assertRejects(() => client.query(new Uint8Array(2001)), FramingError);
  assertEquals(text(await client.query("")), "ok");
  for (const type of [0, -1, 1.5, 2 ** 32]) await assertRejects(() => client.write(type, ""), RangeError);
  await assertRejects(() => client.write(1, 5 as unknown as string), TypeError);
});

Deno.test("a reader that stops slows its writer down, and loses nothing", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  const data = new Uint8Array(100_000);
  let written = 0;
  const writing = (async () => {
    for (let i = 1; i <= 100; i++) {
      data[0] = i; // may be changed once the promise has resolved
      await client.write(i, data);
      written++;
    }
    await client.flush();
  })();
  let before = -1;
  await until("the writer stands still", async () => {
    const still = before === written;
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 30));
    return still;
  });
  assert(written >= 3 && written < 60, `${written} of 100 written`);
  for (let i = 1; i <= 100; i++) {
    const message = await server.read();
    assertEquals([message?.type, message?.data[0], message?.data.length], [i, i, 100_000]);
  }
  await writing;
});

Deno.test("large queries and answers both ways at once do not block each other", async () => {
  await using channel = new Channel();
  const answer = new Uint8Array(300_000).fill(3);
  const onQuery = () => answer;
  await using server = await listenIpc({ ...channel.options, onQuery });
  await using client = await connectIpc({ ...channel.options, onQuery });
  const ask = (side: { query(data: Uint8Array): Promise<Uint8Array> }) =>
    Promise.all(Array.from({ length: 60 }, () => side.query(new Uint8Array(50_000))));
  const answers = (await settles("the answers", Promise.all([ask(client), ask(server)]), 20_000)).flat();
  assert(answers.length === 120 && answers.every((data) => data.length === 300_000 && data[299_999] === 3));
});

Deno.test("a writer that never waits is told that it is too fast", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc({ ...channel.options, reconnect: false });
  const writes = Array.from({ length: 120 }, () => client.write(1, new Uint8Array(100_000)));
  const results = await settles("the writes", Promise.allSettled(writes));
  const last = results.at(-1)!;
  assert(last.status === "rejected" && last.reason instanceof ClosedError);
  assertEquals(last.reason.code, "ERR_SLOW_CONSUMER");
  assertEquals(server.status === "closed", false);
});

Deno.test("close hands over what was written and answers what was asked; what was received can still be read", async () => {
  await using channel = new Channel();
  const answer = Promise.withResolvers<string>();
  await using server = await listenIpc({ ...channel.options, onQuery: () => answer.promise });
  const client = await connectIpc(channel.options);
  const asked = client.query("slow");
  for (let i = 1; i <= 50; i++) await client.write(i, new Uint8Array(10_000));
  const fromServer = [...server.clients.values()][0]!;
  await fromServer.write(77, "bye");
  await until("the query has arrived", () => fromServer.stats().queriesIn === 1);
  const closing = client.close();
  assertEquals(client.status, "closing");
  await assertCode("ERR_CLOSED", () => client.write(1, ""));
  answer.resolve("answered");
  assertEquals(text(await asked), "answered");
  // It takes until the server's process has received everything, and that reads ahead only so far.
  for (let i = 1; i <= 40; i++) assertEquals((await fromServer.read())?.type, i);
  await settles("the close", Promise.all([closing, fromServer.closed]));
  assertEquals([client.status, fromServer.status], ["closed", "closed"]);
  for (let i = 41; i <= 50; i++) assertEquals((await fromServer.read())?.type, i);
  assertEquals(await fromServer.read(), null);
  assertEquals([text((await client.read())?.data), await client.read()], ["bye", null]);
  assertEquals(server.status, "listening");
});

Deno.test("close of a server ends its clients in order, and both can close at once", async () => {
  await using channel = new Channel();
  const server = await listenIpc(channel.options);
  const clients = await Promise.all(
    [1, 2, 3].map(() => connectIpc({ ...channel.options, reconnect: false })),
  );
  await server.write(5, "last words");
  await settles("all closes", Promise.all([server.close(), clients[0]!.close()]));
  for (const client of clients) {
    assertEquals([text((await client.read())?.data), await client.read()], ["last words", null]);
    await client.closed;
  }
  assertEquals([server.status, clients[1]!.status, await server.read()], ["closed", "disconnected", null]);
  await server.close();
});

Deno.test("close at its deadline cuts, and counts what it cut", async () => {
  await using channel = new Channel();
  const never = new Promise<string>(() => {});
  const server = await listenIpc({ ...channel.options, onQuery: () => never });
  const client = await connectIpc({ ...channel.options, reconnect: false });
  const asked = client.query("?");
  asked.catch(() => {});
  await until("the query has arrived", () => [...server.clients.values()][0]!.stats().queriesIn === 1);
  const error = await assertRejects(() => server.close({ timeoutMs: 50 }), TimeoutError);
  assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", 1]);
  await assertCode("ERR_RESET", () => asked);
  await client.closed;
  assertEquals(client.status, "disconnected");
});

Deno.test("a signal closes a server and a client in order", async () => {
  await using channel = new Channel();
  const controller = new AbortController();
  const { signal } = controller;
  const server = await listenIpc({ ...channel.options, signal });
  const client = await connectIpc({ ...channel.options, signal });
  await client.write(1, "x");
  await client.flush();
  controller.abort();
  await settles("both closed", Promise.all([server.closed, client.closed]));
  assertEquals([server.status, client.status], ["closed", "closed"]);
  assertEquals((await server.read())?.type, 1);
});

Deno.test("abort ends now: everything pending rejects with the reason", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery: () => new Promise<string>(() => {}) });
  const client = await connectIpc(channel.options);
  const reason = new Error("stop");
  const pending = [client.read(), client.query("x"), client.read({ timeoutMs: 5000 })];
  client.abort(reason);
  for (const wait of pending) assertEquals(await settles("a wait", wait.catch((error) => error)), reason);
  assertEquals([client.status, await client.write(1, "").catch((error) => error)], ["error", reason]);
  await until("the server notices", () => server.status === "listening");
});

Deno.test("a client connects again, tells of it, and goes on; queries wait for the link", async () => {
  await using channel = new Channel();
  const first = await listenIpc({ ...channel.options, onQuery: () => "first" });
  await using client = await connectIpc(channel.options);
  const statuses: string[] = [];
  const watching = (async () => {
    for await (const { status } of client.statuses()) statuses.push(status);
  })();
  assertEquals(text(await client.query("")), "first");
  await first.close();
  await until("the loss", () => client.status === "reconnecting");
  const waiting = client.query("");
  const written = client.write(3, "later");
  await using second = await listenIpc({ ...channel.options, onQuery: () => "second" });
  assertEquals(text(await settles("the answer", waiting)), "second");
  await written;
  assertEquals((await second.read())?.type, 3);
  await client.close();
  await watching;
  assertEquals(statuses, ["connected", "reconnecting", "connected", "closing", "closed"]);
});

Deno.test("a client whose secret is no longer accepted ends with ERR_AUTH", async () => {
  await using channel = new Channel();
  const first = await listenIpc({ ...channel.options, secret: SecretKey.generate() }).catch(() => null);
  await first?.close();
  const secret = SecretKey.generate();
  const good = await listenIpc({ ...channel.options, secret });
  const client = await connectIpc({ ...channel.options, secret });
  await good.close();
  await using _other = await listenIpc({
    ...channel.options,
    secret: SecretKey.generate(),
    onError: () => {},
  });
  await settles("the end", client.closed);
  assertEquals(client.status, "error");
  await assertCode("ERR_AUTH", () => client.read());
});

Deno.test("queries and writes without a server end at their time limits", async () => {
  await using channel = new Channel();
  const server = await listenIpc(channel.options);
  await using client = await connectIpc({ ...channel.options, writeTimeoutMs: 60 });
  await server.close();
  await until("the loss", () => client.status === "reconnecting");
  await assertCode("ERR_CONNECT_TIMEOUT", () => client.query("", { timeoutMs: 40 }));
  await assertCode("ERR_WRITE_TIMEOUT", () => client.write(1, ""));
});

Deno.test("flush tells, once, that a connection was lost with messages that may not have arrived", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  await client.write(1, "a");
  await client.flush();
  await client.write(2, "b");
  [...server.clients.values()][0]!.abort(new Error("gone"));
  await until("the loss", () => client.status === "reconnecting" || client.sessionId === null);
  await until("the next connection", () => client.status === "connected");
  await assertCode("ERR_RESET", () => client.flush());
  await client.flush();
  await client.write(3, "c");
  await client.flush();
});

Deno.test("a client that was lost is told apart from one that closed", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  const lost = await connectIpc({ ...channel.options, reconnect: false });
  const seen = [...server.clients.values()][0]!;
  lost.abort(new Error("gone"));
  await assertCode("ERR_RESET", () => seen.read());
  assertEquals(seen.status, "closed");
});

Deno.test("a server that is full says so, and has room again", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, maxClients: 2 });
  const first = await connectIpc(channel.options);
  await using _second = await connectIpc(channel.options);
  const error = await assertRejects(() => connectIpc(channel.options), RemoteError);
  assertEquals([error.code, server.clients.size], ["ERR_BUSY", 2]);
  await first.close();
  const third = await connectIpc(channel.options);
  assertEquals(server.clients.size, 2);
  await third.close();
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
  await assertRejects(() => connectIpc({ ...channel.options, reconnect: { minDelayMs: -1 } }), RangeError);
  assertEquals([...Deno.readDirSync(channel.path.slice(0, channel.path.lastIndexOf("/")))], []);
});
