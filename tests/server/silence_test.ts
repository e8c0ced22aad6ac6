// What a server says at default settings, to the console, of what goes wrong with its clients: one
// warning each, with the reason.
import { assertEquals, assertMatch } from "@std/assert";
import { connect, delimited, raw, serve, type Server } from "@parley/parley";
import { testCerts } from "../support/programs/certs.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

const { server: identity, ca } = await testCerts();

/** Sends bytes to a server, and waits for the end, whatever it looks like. */
async function send(server: Server, text: string): Promise<void> {
  const conn = await connect({ ...server.addr, framing: raw() });
  await conn.send(text);
  await settles("the end", conn.receive().catch(() => null));
  conn.abort();
}

const FAULTS: readonly (readonly [
  what: string,
  options: Parameters<typeof serve>[0],
  fault: (server: Server) => Promise<unknown>,
  said: RegExp,
])[] = [
  [
    "a message that is too large",
    { framing: delimited("\n"), maxMessageBytes: 1000 },
    (server) => send(server, "x".repeat(5000)),
    /^A connection ended early: FramingError: .*"maxMessageBytes" is 1000/,
  ],
  [
    "another framing",
    {},
    (server) => send(server, "hello, this is a line"),
    /^A connection ended early: FramingError: .*"maxMessageBytes"/,
  ],
  [
    "an HTTP request",
    {},
    (server) => send(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    /^A connection ended early: FramingError: .*HTTP request/,
  ],
  [
    "a plain client at a port of TLS",
    { tls: identity },
    (server) => send(server, "hello, this is plain"),
    /^A handshake failed: TlsError: .*does not speak TLS: a client of this port must be given `tls`/,
  ],
  [
    "a client of TLS at a plain port",
    {},
    (server) => {
      const target = server.addr as Deno.NetAddr;
      return errorOf(
        connect({ hostname: "localhost", port: target.port, tls: { caCerts: [ca.cert] } }),
      );
    },
    /^A connection ended early: FramingError: .*it is a TLS client, and this port does not speak TLS/,
  ],
];

for (const [what, options, fault, said] of FAULTS) {
  Deno.test(`serve() at default settings warns once of ${what}`, async () => {
    const told: string[] = [];
    const { warn, error } = console;
    console.warn = (text) => void told.push(text);
    console.error = (text) => void told.push(`error ${text}`);
    try {
      const server = serve(options, async (conn) => {
        for await (const message of conn) await conn.send(message);
      });
      await server.ready;
      await fault(server);
      await until("it is said", () => told.length > 0);
      await server.shutdown();
    } finally {
      Object.assign(console, { warn, error });
    }
    assertEquals(told.length, 1, told.join("\n"));
    assertMatch(told[0]!, said);
  });
}
