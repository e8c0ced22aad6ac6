// Options of serve(): what is wrong is refused before any I/O, with a message that says what to do.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { delimited, lengthPrefixed, serve, type ServeOptions } from "@parley/parley";
import { createCa, createCertificate } from "@parley/parley/tls";

type Loose = Record<string, unknown>;

/** What must be refused, with the class of the error and its message. */
const BAD: readonly (readonly [Loose, typeof TypeError | typeof RangeError, string | RegExp])[] = [
  [
    { maxMessageBytes: 0 },
    RangeError,
    `Cannot listen: "maxMessageBytes" must be 1 to 1073741824, current value is 0`,
  ],
  [
    { maxMessageBytes: 1.5 },
    RangeError,
    `Cannot listen: "maxMessageBytes" must be a whole number, 1 to 1073741824, current value is 1.5`,
  ],
  [
    { maxMessageBytes: "1" },
    TypeError,
    `Cannot listen: "maxMessageBytes" must be a number, current value is "1"`,
  ],
  [{ maxMessageBytes: NaN }, RangeError, /"maxMessageBytes"/],
  [{ highWaterBytes: 0 }, RangeError, /"highWaterBytes" must be 1 to/],
  [{ highWaterBytes: 2000, maxQueuedBytes: 1999 }, RangeError, /"maxQueuedBytes" must be 2000 to/],
  [{ readAheadBytes: 1023 }, RangeError, /"readAheadBytes" must be 1024 to/],
  [
    { writeTimeoutMs: 0 },
    RangeError,
    /"writeTimeoutMs" must be 1 to 2147483647, current value is 0/,
  ],
  [
    { messageTimeoutMs: -1 },
    RangeError,
    /"messageTimeoutMs" must be 0 \(off\) or 1 to 2147483647, current value is -1/,
  ],
  [{ idleTimeoutMs: 2 ** 31 }, RangeError, /"idleTimeoutMs" must be 0 \(off\) or 1 to 2147483647/],
  [{ idleTimeoutMs: Infinity }, RangeError, /"idleTimeoutMs"/],
  [{ closeTimeoutMs: 0 }, RangeError, /"closeTimeoutMs"/],
  [{ handshakeTimeoutMs: 0 }, RangeError, /"handshakeTimeoutMs" must be 1 to/],
  [{ drainTimeoutMs: -5 }, RangeError, /"drainTimeoutMs"/],
  [
    { framing: {} },
    TypeError,
    /"framing" must be a Framing such as lengthPrefixed\(\), got object/,
  ],
  [{ framing: "lines" }, TypeError, /"framing" must be a Framing/],
  [{ framing: lengthPrefixed({ bytes: 1 }), maxMessageBytes: 0 }, RangeError, /"maxMessageBytes"/],
  [{ port: 65536 }, RangeError, `Cannot listen: "port" must be 0 to 65535, current value is 65536`],
  [{ port: -1 }, RangeError, /"port"/],
  [{ port: "80" }, TypeError, `Cannot listen: "port" must be a number, current value is "80"`],
  [{ hostname: "" }, TypeError, `Cannot listen: "hostname" must be a name or an address, got ""`],
  [{ hostname: 127 }, TypeError, /"hostname" must be a name or an address, got 127/],
  [{ path: "" }, TypeError, `Cannot listen: "path" must be the path of a unix socket, got ""`],
  [
    { path: "/tmp/a.sock", port: 0 },
    TypeError,
    `Cannot listen: "path" excludes "hostname", "port" and "reusePort"`,
  ],
  [{ path: "/tmp/a.sock", hostname: "::1" }, TypeError, /"path" excludes/],
  [{ path: "/tmp/a.sock", reusePort: true }, TypeError, /"path" excludes/],
  [{ path: "/tmp/a.sock", mode: 0o1777 }, RangeError, /"mode" must be 0 to 511/],
  [
    { mode: 0o600 },
    TypeError,
    `Cannot listen: "mode" needs a "path": a TCP port has no permissions`,
  ],
  [
    { reusePort: 1 },
    TypeError,
    `Cannot listen: "reusePort" must be true or false, current value is 1`,
  ],
  [{ noDelay: "yes" }, TypeError, /"noDelay" must be true or false/],
  [{ keepAlive: null }, TypeError, /"keepAlive" must be true or false, current value is null/],
  [{ backlog: 0 }, RangeError, /"backlog"/],
  [
    { maxConnections: 0 },
    RangeError,
    `Cannot listen: "maxConnections" must be 1 to 16777216, current value is 0`,
  ],
  [{ maxPending: 0 }, RangeError, /"maxPending"/],
  [{ pendingDropStart: -1 }, RangeError, /"pendingDropStart"/],
  [
    { pendingDrop: "random" },
    RangeError,
    /"pendingDrop" must be "oldest" or "newest", current value is "random"/,
  ],
  [{ stallMs: 0 }, RangeError, /"stallMs"/],
  [{ maxConnectionsPerSource: 0 }, RangeError, /"maxConnectionsPerSource"/],
  [
    { connectionBurstPerSource: 5 },
    TypeError,
    /"connectionBurstPerSource" needs "connectionsPerSecondPerSource"/,
  ],
  [{ limitLoopback: 1 }, TypeError, /"limitLoopback" must be true or false/],
  [{ exemptSources: ["10.0.0.0/33"] }, RangeError, /"exemptSources"/],
  [{ penalties: { failureMs: 0 } }, RangeError, /"failureMs"/],
  [{ penalties: { graceMs: -1 } }, RangeError, /"graceMs"/],
  [{ drainDelayMs: -1 }, RangeError, /"drainDelayMs"/],
  [
    { closedLog: 5 },
    TypeError,
    `Cannot listen: "closedLog" must be an object, current value is of type number`,
  ],
  [{ closedLog: { maxConnections: -1 } }, RangeError, /"closedLog.maxConnections"/],
  [{ closedLog: { maxAgeMs: 0 } }, RangeError, /"closedLog.maxAgeMs"/],
  [
    { rateLimits: { perConnection: { messagesPerSecond: 0 } } },
    RangeError,
    /"perConnection.messagesPerSecond"/,
  ],
  [
    { rateLimits: { perSource: { burstBytes: 1 } } },
    TypeError,
    /"perSource.burstBytes" needs "perSource.bytesPerSecond"/,
  ],
  [{ tls: true }, TypeError, `Cannot listen: "tls" must be an object, got boolean`],
  [{ tls: {} }, TypeError, /"cert"/],
  [{ tls: { cert: "a" } }, TypeError, /"key"/],
  [{ signal: {} }, TypeError, `Cannot listen: "signal" must be an AbortSignal, got object`],
  [
    { logger: {} },
    TypeError,
    /"logger" must have the methods debug, info, warn and error: "debug" is none/,
  ],
  [{ logger: null }, TypeError, /"logger" must have/],
  [{ data: 1 }, TypeError, `Cannot listen: "data" must be a function, current value is 1`],
  ...["onListen", "onStateChange", "onConnect", "onTraffic", "onDisconnect", "onError"].map((
    name,
  ) =>
    [
      { [name]: "log" },
      TypeError,
      `Cannot listen: "${name}" must be a function, current value is "log"`,
    ] as const
  ),
];

for (const [options, ErrorClass, message] of BAD) {
  const shown = JSON.stringify(
    options,
    (_key, value) => Number.isNaN(value) ? "NaN" : value === Infinity ? "Infinity" : value,
  );
  Deno.test(`serve() refuses ${shown} before it listens`, () => {
    const error = assertThrows(() => serve(options as ServeOptions, () => {}), ErrorClass);
    if (typeof message === "string") assertEquals(error.message, message);
    else assert(message.test(error.message), error.message);
  });
}

Deno.test("serve() refuses what is no handler, and options that are no object", () => {
  for (const bad of [null, {}, "handler"]) {
    assertThrows(
      () => serve({}, bad as unknown as () => void),
      TypeError,
      `Cannot listen: "handler" must be a function, got ${typeof bad}`,
    );
  }
  for (const bad of [null, "127.0.0.1:80", 80]) {
    assertThrows(
      () => serve(bad as unknown as ServeOptions, () => {}),
      TypeError,
      `"options" must be an object`,
    );
  }
});

Deno.test("serve() refuses TLS options that contradict each other before it reads a file", async () => {
  const ca = await createCa();
  const identity = await createCertificate({ ca, hosts: ["localhost"] });
  const bad: [Loose, RegExp][] = [
    [{ ...identity, certFile: "a.pem" }, /certFile/],
    [{ certFile: "/nowhere/a.pem" }, /keyFile/],
    [{ ...identity, minVersion: "TLSv1.1" }, /"minVersion"/],
    [{ ...identity, backend: "rust" }, /"backend"/],
    [
      { ...identity, backend: "deno", clientCa: ca.cert },
      /"deno" backend cannot ask for client certificates/,
    ],
    [{ ...identity, backend: "deno", minVersion: "TLSv1.3" }, /always speaks/],
    [{ ...identity, alpnProtocols: [""] }, /"alpnProtocols"/],
  ];
  for (const [tls, message] of bad) {
    const error = assertThrows(
      () => serve({ tls } as unknown as ServeOptions, () => {}),
      TypeError,
    );
    assert(message.test(error.message), error.message);
  }
});

Deno.test("serve() takes every limit at its least and at its most", async () => {
  const settings: ServeOptions[] = [
    {
      maxMessageBytes: 1,
      highWaterBytes: 1,
      maxQueuedBytes: 1,
      readAheadBytes: 1024,
      writeTimeoutMs: 1,
      messageTimeoutMs: 1,
      idleTimeoutMs: 1,
      closeTimeoutMs: 1,
      handshakeTimeoutMs: 1,
      drainTimeoutMs: 1,
      maxConnections: 1,
      backlog: 1,
      maxPending: 1,
    },
    {
      maxMessageBytes: 2 ** 30,
      highWaterBytes: 2 ** 30,
      maxQueuedBytes: 2 ** 31,
      readAheadBytes: 2 ** 30,
      writeTimeoutMs: 2 ** 31 - 1,
      messageTimeoutMs: 0,
      idleTimeoutMs: 0,
      closeTimeoutMs: 2 ** 31 - 1,
      handshakeTimeoutMs: 2 ** 31 - 1,
      drainTimeoutMs: 0,
    },
  ];
  for (const options of settings) {
    await using server = serve({ ...options, framing: delimited("\n") }, () => {});
    await server.ready;
  }
});

Deno.test({
  name: "serve() refuses more connections than the process may have descriptors" +
    (Deno.build.os === "linux" ? "" : " (ignored: the limit is known on Linux only)"),
  ignore: Deno.build.os !== "linux",
  fn() {
    const error = assertThrows(() => serve({ maxConnections: 16_777_216 }, () => {}), RangeError);
    assert(
      /need more descriptors than .*: set "maxConnections" to \d+ or less/s.test(error.message),
      error.message,
    );
  },
});
