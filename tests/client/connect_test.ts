// connect(): options checked before I/O, one deadline over everything, abort, failures, and no
// descriptor left behind.
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  AddressError,
  Client,
  type ClientOptions,
  connect,
  type Connection,
  type ConnectOptions,
  fixedLength,
  type ServeOptions,
  TimeoutError,
  TlsError,
} from "@parley/parley";
import { echo, lines, started } from "../support/peers/servers.ts";
import { testCerts } from "../support/programs/certs.ts";
import { FullBacklog, SilentServer } from "../support/peers/mute_peers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { watchedSignal } from "../support/watched_signal.ts";
import { openDescriptors, settles, until } from "../support/wait.ts";
import { text } from "../support/bytes.ts";

/** Options that are wrong, the class of the error, and what its message names. */
const WRONG: readonly (readonly [unknown, typeof TypeError | typeof RangeError, string])[] = [
  [undefined, TypeError, "must be an object"],
  [null, TypeError, "must be an object"],
  ["localhost:80", TypeError, "must be an object"],
  [{}, TypeError, `neither "port" nor "path"`],
  [{ hostname: "localhost" }, TypeError, `neither "port" nor "path"`],
  [{ port: 0 }, RangeError, `"port" must be 1 to 65535`],
  [{ port: 65536 }, RangeError, `"port" must be 1 to 65535`],
  [{ port: 1.5 }, RangeError, `"port" must be a whole number`],
  [{ port: "80" }, TypeError, `"port" must be a number`],
  [{ port: 1, hostname: "" }, TypeError, `"hostname"`],
  [{ port: 1, hostname: 7 }, TypeError, `"hostname"`],
  [{ path: "" }, TypeError, `"path"`],
  [{ path: 7 }, TypeError, `"path"`],
  [{ path: "/tmp/x", port: 1 }, TypeError, `"path" excludes`],
  [{ path: "/tmp/x", hostname: "localhost" }, TypeError, `"path" excludes`],
  [{ port: 1, timeoutMs: 0 }, RangeError, `"timeoutMs"`],
  [{ port: 1, timeoutMs: Infinity }, RangeError, `"timeoutMs"`],
  [{ port: 1, timeoutMs: NaN }, RangeError, `"timeoutMs"`],
  [{ port: 1, timeoutMs: "3s" }, TypeError, `"timeoutMs"`],
  [{ port: 1, noDelay: "yes" }, TypeError, `"noDelay"`],
  [{ port: 1, keepAlive: 1 }, TypeError, `"keepAlive"`],
  [
    { port: 1, keepAlive: { delayMs: 1500 } },
    RangeError,
    `"keepAlive.delayMs" must be whole seconds`,
  ],
  [
    { port: 1, keepAlive: { delayMs: 5000 } },
    TypeError,
    `"keepAlive.delayMs" cannot be set on this socket`,
  ],
  [{ port: 1, signal: {} }, TypeError, `"signal"`],
  [{ port: 1, signal: null }, TypeError, `"signal"`],
  [{ port: 1, framing: "\n" }, TypeError, `"framing"`],
  [
    { port: 1, framing: fixedLength(100), maxMessageBytes: 99 },
    RangeError,
    `"maxMessageBytes" is 99`,
  ],
  [{ port: 1, maxMessageBytes: 0 }, RangeError, `"maxMessageBytes"`],
  [{ port: 1, highWaterBytes: 0 }, RangeError, `"highWaterBytes"`],
  [{ port: 1, maxQueuedBytes: 1 }, RangeError, `"maxQueuedBytes"`],
  [{ port: 1, readAheadBytes: 1 }, RangeError, `"readAheadBytes"`],
  [{ port: 1, writeTimeoutMs: 0 }, RangeError, `"writeTimeoutMs"`],
  [{ port: 1, messageTimeoutMs: -1 }, RangeError, `"messageTimeoutMs"`],
  [{ port: 1, idleTimeoutMs: -1 }, RangeError, `"idleTimeoutMs"`],
  [{ port: 1, closeTimeoutMs: 0 }, RangeError, `"closeTimeoutMs"`],
  [{ port: 1, tls: true }, TypeError, `"tls"`],
  [{ port: 1, tls: null }, TypeError, `"tls"`],
  [{ port: 1, tls: { backend: "openssl" } }, TypeError, `"backend"`],
  [{ port: 1, tls: { minVersion: "TLSv1.1" } }, TypeError, `"minVersion"`],
  [{ port: 1, tls: { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" } }, RangeError, `"minVersion"`],
  [{ port: 1, tls: { cert: "…" } }, TypeError, `"cert" needs "key"`],
  [{ port: 1, tls: { certFile: "a.pem" } }, TypeError, `"certFile" needs "keyFile"`],
  [{ port: 1, tls: { caCerts: [] } }, TypeError, `"caCerts"`],
  [{ port: 1, tls: { alpnProtocols: "h2" } }, TypeError, `"alpnProtocols"`],
  [{ port: 1, tls: { serverName: "no name" } }, TypeError, `"serverName"`],
];

/** The same for options that only a client has. */
const WRONG_FOR_CLIENTS: typeof WRONG = [
  [{ port: 1, reconnect: true }, TypeError, `"reconnect"`],
  [{ port: 1, reconnect: null }, TypeError, `"reconnect"`],
  [{ port: 1, reconnect: { minDelayMs: 0 } }, RangeError, `"minDelayMs"`],
  [{ port: 1, reconnect: { minDelayMs: 10, maxDelayMs: 5 } }, RangeError, `"maxDelayMs"`],
  [{ port: 1, reconnect: { maxAttempts: -1 } }, RangeError, `"maxAttempts"`],
  [{ port: 1, reconnect: { healthyAfterMs: "1h" } }, TypeError, `"healthyAfterMs"`],
  [{ port: 1, reconnect: { policy: 100 } }, TypeError, `"policy"`],
  [{ port: 1, dropOldStats: "no" }, TypeError, `"dropOldStats"`],
];

const linuxOnly = { ignore: Deno.build.os !== "linux" };

Deno.test("connect() and Client refuse wrong options before anything is opened", async () => {
  const dialled = countDials();
  try {
    for (const [options, Kind, part] of WRONG) {
      await assertRejects(() => connect(options as ConnectOptions), Kind, part);
      assertThrows(() => new Client(options as ClientOptions), Kind, part);
    }
    for (const [options, Kind, part] of WRONG_FOR_CLIENTS) {
      assertThrows(() => new Client(options as ClientOptions), Kind, part);
    }
    assertEquals(dialled.count, 0);
  } finally {
    dialled.restore();
  }
});

Deno.test("connect() carries messages over TCP, unix and TLS, with data of the caller's", async () => {
  await using dir = new TempDir();
  const { ca, server } = await testCerts();
  const cases: [ServeOptions, Partial<ConnectOptions>][] = [
    [{}, {}],
    [{ tls: server }, { tls: { caCerts: [ca.cert] } }],
  ];
  if (Deno.build.os !== "windows") cases.push([{ path: `${dir.path}/plain.sock` }, {}]);
  for (const [serverOptions, clientOptions] of cases) {
    await using listening = await started(serverOptions, echo);
    await using conn = await connect({
      ...listening.server.addr as object,
      ...lines,
      ...clientOptions,
      data: { user: 7 },
    });
    const { user }: { user: number } = conn.data;
    assertEquals(user, 7);
    await conn.send("Hi!");
    assertEquals(text((await conn.receive())!), "Hi!");
  }
});

Deno.test("connect() tells what cannot be reached apart", async () => {
  const port = await unusedPort();
  const refused = await assertRejects(() => connect({ port }), AddressError, `127.0.0.1:${port}`);
  assertEquals(refused.code, "ERR_CONNECT_REFUSED");
  const unknown = await assertRejects(
    () => connect({ hostname: "nowhere.invalid", port: 80 }),
    AddressError,
  );
  assertEquals(unknown.code, "ERR_ADDRESS_INVALID");
});

Deno.test({
  name: "connect() over a unix socket tells a missing one, a stale one and a path too long apart",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using dir = new TempDir();
    const missing = await assertRejects(
      () => connect({ path: `${dir.path}/none.sock` }),
      AddressError,
    );
    assertEquals(missing.code, "ERR_CONNECT_REFUSED");
    await Deno.writeTextFile(`${dir.path}/file`, "");
    const stale = await assertRejects(() => connect({ path: `${dir.path}/file` }), AddressError);
    assertEquals(stale.code, "ERR_CONNECT_REFUSED");
    const long = await assertRejects(
      () => connect({ path: `${dir.path}/${"x".repeat(108)}` }),
      AddressError,
    );
    assertEquals(long.code, "ERR_SOCKET_PATH_TOO_LONG");
  },
});

Deno.test("connect() distrusts a certificate of an unknown authority, and one for another host", async () => {
  const { ca, server } = await testCerts();
  await using listening = await started({ tls: server });
  const { addr } = listening.server;
  const other = (await (await import("@parley/parley/tls")).createCa()).cert;
  const untrusted = await assertRejects(
    () => connect({ ...addr as object, tls: { caCerts: [other] } }),
    TlsError,
  );
  assertEquals(untrusted.code, "ERR_CERT_UNTRUSTED");
  const wrong = await assertRejects(
    () => connect({ ...addr as object, tls: { caCerts: [ca.cert], serverName: "example.com" } }),
    TlsError,
  );
  assertEquals(wrong.code, "ERR_CERT_WRONG_HOST");
});

Deno.test({
  name: "connect() leaves no descriptor open, whatever it fails by",
  ...linuxOnly,
  async fn() {
    const { ca } = await testCerts();
    await using full = await FullBacklog.fill();
    using silent = new SilentServer();
    const unused = await unusedPort();
    const tls = { caCerts: [ca.cert] };
    const attempts: readonly [ConnectOptions, string][] = [
      [{ port: unused }, "ERR_CONNECT_REFUSED"],
      [{ hostname: "nowhere.invalid", port: 80 }, "ERR_ADDRESS_INVALID"],
      [{ path: "/nowhere/at/all.sock" }, "ERR_CONNECT_REFUSED"],
      [{ port: full.port, timeoutMs: 40 }, "ERR_CONNECT_TIMEOUT"],
      [{ port: full.port, timeoutMs: 40, tls }, "ERR_CONNECT_TIMEOUT"],
      [{ port: silent.port, timeoutMs: 40, tls }, "ERR_CONNECT_TIMEOUT"],
      [{ port: silent.port, timeoutMs: 10_000, tls: { caFile: "/nowhere/ca.pem" } }, "NotFound"],
    ];
    for (const [options, code] of attempts) {
      const before = openDescriptors() - silent.connections;
      for (let i = 0; i < 3; i++) {
        const error = await assertRejects(() => settles(code, connect(options)), Error);
        assertEquals("code" in error ? error.code : error.name, code);
      }
      await until(
        `descriptors are free after ${code}`,
        () => openDescriptors() - silent.connections <= before,
      );
    }
  },
});

Deno.test({
  name: "connect() has one deadline over reading files as well",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using dir = new TempDir();
    const pipe = `${dir.path}/ca.pem`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    using silent = new SilentServer();
    await using reads = new ReadWatch();
    const late = await assertRejects(
      () => settles("a pipe", connect({ port: silent.port, timeoutMs: 40, tls: { caFile: pipe } })),
      TimeoutError,
      "within 40 ms",
    );
    assertEquals([late.code, silent.connections], ["ERR_CONNECT_TIMEOUT", 0]);
    const controller = new AbortController();
    const reason = new Error("Enough");
    const connecting = connect({
      port: silent.port,
      tls: { caFile: pipe },
      signal: controller.signal,
    });
    controller.abort(reason);
    assertStrictEquals(await connecting.catch((why) => why), reason);
    assertEquals(reads.pending, 2);
    await until("the reads of the pipe end", () => {
      // A call that waits for a writer has seen one.
      Deno.openSync(pipe, { read: true, write: true }).close();
      return reads.pending === 0;
    });
  },
});

Deno.test("connect() does not hold its deadline against an open connection", async () => {
  await using listening = await started();
  let open: Connection | undefined;
  await until("a connection is in time", async () => {
    open = await listening.connect({ timeoutMs: 20 }).catch(() => undefined);
    return open !== undefined;
  });
  await using conn = open!;
  const start = performance.now();
  await until("the deadline is over", () => performance.now() - start > 30);
  await conn.send("Hi!");
  assertEquals(text((await conn.receive())!), "Hi!");
});

Deno.test({
  name: "connect() rejects with the signal's reason itself, before and during every step",
  ...linuxOnly,
  async fn() {
    const { ca } = await testCerts();
    await using full = await FullBacklog.fill();
    using silent = new SilentServer();
    const tls = { caCerts: [ca.cert] };
    const targets: ConnectOptions[] = [
      { port: full.port },
      { port: full.port, tls },
      { port: silent.port, tls },
      { path: "/nowhere/at/all.sock" },
    ];
    for (const target of targets) {
      for (const reason of [new Error("Enough"), "enough", 0, null]) {
        const aborted = watchedSignal();
        aborted.controller.abort(reason);
        const before = await connect({ ...target, signal: aborted.signal }).catch((why) => why);
        assertStrictEquals(before, reason);
        assertEquals(aborted.listeners, 0);
      }
      if (target.path !== undefined) continue;
      const reason = new Error("Enough");
      const during = watchedSignal();
      const connected = silent.accepted;
      const connecting = connect({ ...target, signal: during.signal });
      if (target.port === silent.port) await connected;
      assertEquals(during.listeners, 1);
      during.controller.abort(reason);
      assertStrictEquals(await settles("an abort", connecting.catch((why) => why)), reason);
      assertEquals(during.listeners, 0);
    }
  },
});

Deno.test("connect() takes its listener off a signal that lives on, and a later abort changes nothing", async () => {
  await using listening = await started();
  const watched = watchedSignal();
  await using conn = await listening.connect({ signal: watched.signal });
  assertEquals(watched.listeners, 0);
  watched.controller.abort(new Error("Too late"));
  await conn.send("Hi!");
  assertEquals(text((await conn.receive())!), "Hi!");
  const failing = watchedSignal();
  await assertRejects(
    async () => connect({ port: await unusedPort(), signal: failing.signal }),
    AddressError,
  );
  assertEquals(failing.listeners, 0);
});

/** A port on which no program listens just now. */
function unusedPort(): Promise<number> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return Promise.resolve(port);
}

/** Counts what is dialled over TCP. */
function countDials(): { count: number; restore(): void } {
  const { connect } = Deno;
  const dials = {
    count: 0,
    restore: () => void (Deno.connect = connect),
  };
  Deno.connect = ((options: Deno.ConnectOptions) => {
    dials.count++;
    return connect(options);
  }) as typeof Deno.connect;
  return dials;
}

/** Counts text files that are being read. */
class ReadWatch implements AsyncDisposable {
  pending = 0;
  readonly #readTextFile = Deno.readTextFile;

  constructor() {
    Deno.readTextFile = async (...args) => {
      this.pending++;
      try {
        return await this.#readTextFile(...args);
      } finally {
        this.pending--;
      }
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Deno.readTextFile = this.#readTextFile;
    await until("all reads end", () => this.pending === 0);
  }
}
