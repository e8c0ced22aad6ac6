// Which failures to connect end a client or a pair, and which are tried again.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  AddressError,
  AuthError,
  ClosedError,
  RemoteError,
  TimeoutError,
  TlsError,
} from "../../errors.ts";
import { connectIpc, listenIpc, pairIpc, SecretKey } from "../../ipc/mod.ts";
import { IpcReporter } from "../../ipc/observe/reporter.ts";
import { RepeatedFailure } from "../../ipc/connect_failures.ts";
import { dialFault, listenFault } from "../../net/transport/faults.ts";
import { DialWatch } from "../support/dial_watch.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import { assertCode, Channel, MemoryLogger, text } from "./channels.ts";
import { Middle } from "./middle.ts";

const THERE = { transport: "tcp", hostname: "10.77.0.1", port: 7301 } as const;

/** An error as the system makes it. */
function systemError(code: string): Error {
  return Object.assign(new Error(`${code} (os error 1)`), { code });
}

/** Which of a row of the same failure ends the attempts; 0 for none of twenty. */
function endsAt(make: () => unknown, when: { first: boolean; limited: boolean }): number {
  const suspicion = new RepeatedFailure("test", new IpcReporter(undefined, new MemoryLogger()));
  for (let count = 1; count <= 20; count++) {
    if (suspicion.classify(make(), when).final) return count;
  }
  return 0;
}

async function unfinishedKey(): Promise<unknown> {
  await using dir = new TempDir();
  await Deno.writeFile(`${dir.path}/key`, new Uint8Array(7), { mode: 0o600 });
  return await errorOf(SecretKey.fromFile(`${dir.path}/key`));
}

async function looseKey(): Promise<unknown> {
  await using dir = new TempDir();
  await Deno.writeFile(`${dir.path}/key`, new Uint8Array(32));
  await Deno.chmod(`${dir.path}/key`, 0o644);
  return await errorOf(SecretKey.fromFile(`${dir.path}/key`));
}

Deno.test("RepeatedFailure ends attempts for what no repetition heals, and for nothing else", async () => {
  const [halfWritten, loose] = [await unfinishedKey(), await looseKey()];
  const system = [
    "EMFILE",
    "ENFILE",
    "ENOBUFS",
    "ENOMEM",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ENETDOWN",
    "ETIMEDOUT",
  ];
  // Name, failure, and the attempt that ends: of the first connection of a client and of a pair,
  // and after a loss.
  const cases: [string, unknown, number, number, number][] = [
    ...system.map((code): [string, unknown, number, number, number] => [
      `${code} of a dial`,
      dialFault(THERE, systemError(code)),
      0,
      3,
      0,
    ]),
    ["EMFILE of a file", systemError("EMFILE"), 0, 3, 0],
    ["EMFILE of a listener", listenFault(THERE, systemError("EMFILE")), 0, 3, 0],
    ["ECONNRESET of a dial", dialFault(THERE, systemError("ECONNRESET")), 0, 0, 0],
    ["no such name", dialFault(THERE, new Error("failed to lookup address information")), 1, 1, 0],
    ["no program there", new AddressError("ERR_CONNECT_REFUSED", "x"), 0, 0, 0],
    ["a CA file that is not there", new Deno.errors.NotFound("x"), 1, 1, 0],
    ["a CA file that is not readable now", new Deno.errors.PermissionDenied("x"), 1, 1, 0],
    ["a certificate that is not trusted", new TlsError("ERR_CERT_UNTRUSTED", "x"), 1, 1, 0],
    ["no answer in time", new TimeoutError("ERR_HANDSHAKE_TIMEOUT", "x"), 1, 1, 0],
    ["a key file that is half written", halfWritten, 1, 1, 0],
    ["a key file that others may read", loose, 1, 1, 1],
    ["a place that is not safe", new AddressError("ERR_ADDRESS_INVALID", "x"), 1, 1, 1],
    ["turned out", new AuthError("ERR_FORBIDDEN", "x"), 1, 1, 1],
    ["a permission that is missing", new Deno.errors.NotCapable("x"), 1, 1, 1],
    ["a wrong option", new TypeError("x"), 1, 1, 1],
    ["a refused secret", new AuthError("ERR_AUTH", "x"), 3, 3, 3],
    ["full", new RemoteError("ERR_BUSY", "x"), 3, 3, 0],
    ["another program", new AddressError("ERR_NOT_OUR_PROTOCOL", "x"), 3, 3, 0],
    ["an end right after the handshake", new ClosedError("ERR_RESET", "x"), 3, 3, 0],
    ["closing", new ClosedError("ERR_GOING_AWAY", "x"), 0, 0, 0],
  ];
  for (const [name, error, client, pair, later] of cases) {
    const seen = [
      endsAt(() => error, { first: true, limited: true }),
      endsAt(() => error, { first: true, limited: false }),
      endsAt(() => error, { first: false, limited: true }),
      endsAt(() => error, { first: false, limited: false }),
    ];
    assertEquals([name, ...seen], [name, client, pair, later, later]);
  }
});

Deno.test("RepeatedFailure believes a refused secret only when nothing else came between", () => {
  const suspicion = new RepeatedFailure("test", new IpcReporter(undefined, new MemoryLogger()));
  const when = { first: false, limited: true };
  for (let round = 0; round < 5; round++) {
    for (let count = 0; count < 2; count++) {
      assertEquals(suspicion.classify(new AuthError("ERR_AUTH", "x"), when).final, false);
    }
    suspicion.classify(new AddressError("ERR_CONNECT_REFUSED", "x"), when);
  }
});

Deno.test("RepeatedFailure logs what is tried again at warn, but not the ordinary restart of a server", () => {
  const logger = new MemoryLogger();
  const suspicion = new RepeatedFailure("test", new IpcReporter(undefined, logger));
  const when = { first: false, limited: true };
  const warnings = () => logger.lines.filter((line) => line.startsWith("warn"));
  for (let count = 0; count < 9; count++) {
    suspicion.classify(new AddressError("ERR_CONNECT_REFUSED", "no program listens"), when);
  }
  assertEquals(warnings(), []);
  for (let count = 0; count < 9; count++) {
    suspicion.classify(dialFault(THERE, systemError("ENETUNREACH")), when);
  }
  assertEquals(warnings().length, 1);
  assert(warnings()[0]!.includes('Cannot connect to "test", trying again'), warnings()[0]);
  suspicion.classify(new AddressError("ERR_CONNECT_REFUSED", "no program listens"), when);
  assertEquals(warnings().length, 2); // for long by now
});

for (const code of ["ENETUNREACH", "EHOSTUNREACH", "EMFILE", "ENOBUFS"]) {
  Deno.test(`connectIpc connects again after ${code}, over TCP and over a unix socket`, async () => {
    await using channel = new Channel();
    const secret = SecretKey.generate();
    const tcp = {
      name: "test",
      transport: "tcp",
      port: 0,
      secret,
      logger: channel.logger,
    } as const;
    for (const options of [tcp, { ...channel.options, secret }]) {
      await using server = await listenIpc({ ...options, onQuery: () => "answered" });
      const port = server.addr.transport === "tcp" ? { port: server.addr.port } : {};
      await using client = await connectIpc({ ...options, ...port });
      let failed = 0;
      {
        using _down = new DialWatch(() => (failed++, Promise.reject(systemError(code))));
        for (const here of server.clients.values()) here.abort(new Error("the line is down"));
        await until("three attempts have failed", () => failed >= 3);
        assertEquals(client.status, "reconnecting");
      }
      assertEquals(text(await settles("an answer", client.query(""))), "answered");
    }
  });
}

Deno.test("connectIpc waits for a network that is not up yet, as for a server", async () => {
  await using channel = new Channel();
  await using _server = await listenIpc({ ...channel.options, onQuery: () => "answered" });
  let failed = 0;
  const watch = new DialWatch(() => (failed++, Promise.reject(systemError("ENETUNREACH"))));
  let connecting;
  try {
    connecting = connectIpc(channel.options);
    await until("three attempts have failed", () => failed >= 3);
  } finally {
    watch[Symbol.dispose]();
  }
  await using client = await settles("connecting", connecting);
  assertEquals(text(await client.query("")), "answered");
});

Deno.test("a pair decides its roles again after ENETUNREACH, and settles when it meets that at first", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const options = {
    name: "test",
    transport: "tcp",
    port,
    secret: SecretKey.generate(),
    logger: new MemoryLogger(),
  } as const;
  const one = await pairIpc(options, () => "one");
  await using two = await pairIpc(options, () => "two");
  let failed = 0;
  {
    using _down = new DialWatch(() => (failed++, Promise.reject(systemError("ENETUNREACH"))));
    await one.close();
    await until("three attempts have failed", () => failed >= 3);
    assertEquals(two.status, "reconnecting");
    await assertCode("ERR_ADDRESS_INVALID", () => pairIpc(options, () => ""));
  }
  await until("two has a role again", () => two.status === "listening");
});

Deno.test("connectIpc connects again when the key file was half written for a while", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery: () => "answered" });
  const path = `${channel.path}.key`;
  const key = await Deno.readFile(path);
  await using client = await connectIpc(channel.options);
  await Deno.writeFile(path, key.subarray(0, 9));
  for (const here of server.clients.values()) here.abort(new Error("lost"));
  const tried = (line: string) =>
    line.includes("trying again") && line.includes("it must hold 32 bytes");
  await until("an attempt has failed", () => channel.logger.lines.some(tried));
  assertEquals(client.status, "reconnecting");
  await Deno.writeFile(path, key);
  assertEquals(text(await settles("an answer", client.query(""))), "answered");
});

/**
 * A channel whose server is reached through a middle that cuts the proof of the connections that
 * `isCut` chooses.
 */
function behindCuts(
  channel: Channel,
  path: string,
  isCut: (connection: number) => boolean,
): Middle {
  let connection = 0;
  return new Middle(path, channel.path, {
    client: (unit, index) => {
      if (index === 0) connection++;
      return index === 1 && isCut(connection) ? null : unit;
    },
  });
}

Deno.test("connectIpc takes two servers that die in the handshake for that, and three for a refused secret", async () => {
  await using channel = new Channel();
  await using dir = new TempDir();
  const options = { ...channel.options, secret: SecretKey.generate() };
  await using server = await listenIpc({
    ...options,
    onError: () => {},
    onQuery: () => "answered",
  });
  // Twice at first, twice after the loss, then without end.
  const cut = (connection: number) => connection !== 3 && connection !== 6;
  await using middle = behindCuts(channel, `${dir.path}/middle`, cut);
  const client = await connectIpc({ ...options, path: middle.path });
  assertEquals(middle.connections, 3);
  const lose = () => server.clients.forEach((here) => here.abort(new Error("lost")));
  lose();
  await until("connected again", () => middle.connections === 6 && client.status === "connected");
  assertEquals(text(await settles("an answer", client.query(""))), "answered");
  lose();
  await settles("the end", client.closed);
  assertEquals([client.status, middle.connections], ["error", 9]);
  await assertCode("ERR_AUTH", () => client.receive());
  const line = channel.logger.lines.find((line) =>
    line.startsWith("warn The channel ended for good")
  );
  assert(line !== undefined, channel.logger.lines.join("\n"));
  await assertRejects(() => connectIpc({ ...options, path: middle.path }), AuthError);
  assertEquals(middle.connections, 12);
});
