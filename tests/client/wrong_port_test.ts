// Tests of clients at a port that speaks something else, or that does not answer: each error says
// what to do about it.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import dns from "node:dns/promises";
import {
  Client,
  type ClientOptions,
  connect,
  type ConnectOptions,
  delimited,
  FramingError,
  serve,
} from "@parley/parley";
import { TimeoutError, TlsError } from "../../errors.ts";
import { createCa, createCertificate } from "../../tls/mod.ts";
import { testCerts } from "../support/programs/certs.ts";
import { withFiles } from "../tls/files.ts";
import { until } from "../support/wait.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const backends = ["node", "deno"] as const;

async function firstMessage(options: ConnectOptions): Promise<unknown> {
  await using conn = await connect(options);
  await conn.send("hello");
  return await conn.receive({ timeoutMs: 20_000 });
}

for (const backend of backends) {
  Deno.test(`connect() without TLS to a port that speaks it by ${backend} names TLS and what to do`, async () => {
    const certs = await testCerts();
    for (const framing of [undefined, delimited("\n")]) {
      const options = framing === undefined ? {} : { framing };
      await using server = serve(
        { tls: { ...certs.server, backend }, logger: silent, ...options },
        () => {},
      );
      await server.ready;
      const asking = () => firstMessage({ ...server.addr, ...options } as ConnectOptions);
      const error = await assertRejects(
        asking,
        FramingError,
        "The peer sent a TLS alert, so that port speaks TLS: give `tls`",
      );
      assertStringIncludes(error.stack!, "give `tls`");
    }
  });

  Deno.test(`connect() with TLS by ${backend} to a port that does not speak it says so`, async () => {
    const { ca } = await testCerts();
    await using server = serve({ logger: silent }, async (conn) => void await conn.receive());
    await server.ready;
    const tls = { caCerts: [ca.cert], backend };
    await assertRejects(
      () => connect({ ...server.addr, tls } as ConnectOptions),
      TlsError,
      "leave out `tls`",
    );
    await using talking = serve({ framing: delimited("\n"), logger: silent }, async (conn) => {
      await conn.send("220 mail.example.net ESMTP");
    });
    await talking.ready;
    const error = await assertRejects(
      () => connect({ ...talking.addr, tls } as ConnectOptions),
      TlsError,
    );
    assertStringIncludes(error.message, "leave out `tls`");
  });
}

Deno.test("connect() says whether the name, TCP or TLS hung", async () => {
  const hung = async (options: ConnectOptions) => {
    const error = await assertRejects(() => connect({ timeoutMs: 200, ...options }), TimeoutError);
    assertEquals(error.code, "ERR_CONNECT_TIMEOUT");
    return error.message;
  };
  const { lookup } = dns;
  Object.assign(dns, { lookup: () => new Promise(() => {}) });
  try {
    assertStringIncludes(
      await hung({ hostname: "db.example", port: 9 }),
      "no name server answered",
    );
  } finally {
    Object.assign(dns, { lookup });
  }
  // Its queue is full after some, and it accepts none.
  const full = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = full.addr;
  const fillers: Deno.Conn[] = [];
  try {
    for (;;) fillers.push(await connectWithin(port, 200));
  } catch {
    // Nothing more fits.
  }
  const tcp = await hung({ port });
  for (const filler of fillers) filler.close();
  full.close();
  assertStringIncludes(tcp, "nothing at that address answered (TCP)");
  const mute = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted: Promise<Deno.Conn>[] = [];
  for (const backend of backends) {
    accepted.push(mute.accept());
    assertStringIncludes(
      await hung({ port: mute.addr.port, tls: { backend } }),
      "the TLS handshake was not finished",
    );
  }
  for (const conn of await Promise.all(accepted)) conn.close();
  mute.close();
});

/** Connects, or gives up; the platform frees what was given up. */
async function connectWithin(port: number, ms: number): Promise<Deno.Conn> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  try {
    return await Deno.connect({ hostname: "127.0.0.1", port, signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}

Deno.test("Client goes on when its certificate's files are half written at the moment of a redial", async () => {
  const ca = await createCa();
  const identity = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
  const { cert, key } = await createCertificate({ ca, client: true, name: "a" });
  const other = await createCertificate({ ca, client: true, name: "b" });
  await using server = serve(
    { tls: { ...identity, clientCa: ca.cert }, logger: silent },
    async (conn) => {
      for await (const message of conn) await conn.send(message);
    },
  );
  await server.ready;
  const moments: Record<string, [string, string]> = {
    "certificate empty": ["", key],
    "certificate cut": [cert.slice(0, 300), key],
    "certificate without its last line": [cert.slice(0, -10), key],
    "key empty": [cert, ""],
    "key cut": [cert, key.slice(0, 80)],
    "new certificate, old key": [other.cert, key],
  };
  for (const [moment, [badCert, badKey]] of Object.entries(moments)) {
    await withFiles({ "c.pem": cert, "c.key": key, "ca.pem": ca.cert }, async (directory) => {
      const [certFile, keyFile, caFile] = ["c.pem", "c.key", "ca.pem"].map((name) =>
        `${directory}/${name}`
      ) as [
        string,
        string,
        string,
      ];
      const client = new Client({
        ...server.addr,
        tls: { certFile, keyFile, caFile },
        reconnect: { minDelayMs: 5, maxDelayMs: 10 },
      } as ClientOptions);
      await client.ready;
      await until("the server has it", () => server.connections.size === 1);
      await Deno.writeTextFile(certFile, badCert);
      await Deno.writeTextFile(keyFile, badKey);
      const before = client.stats().overall.connectFailures;
      for (const conn of server.connections.values()) conn.abort();
      await until(
        `${moment}: it has tried in vain`,
        () => client.stats().overall.connectFailures > before + 1,
      );
      assertEquals(client.status, "reconnecting", moment);
      await Deno.writeTextFile(certFile, cert);
      await Deno.writeTextFile(keyFile, key);
      await until(`${moment}: it is back`, () => client.status === "connected");
      await client.close();
      await until("the server has let it go", () => server.connections.size === 0);
    });
  }
  assert(Object.keys(moments).length > 4);
});
