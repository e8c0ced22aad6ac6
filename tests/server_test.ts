// serve(): its overloads, and one exchange over each kind of address.
import { assert, assertEquals } from "@std/assert";
import {
  connect,
  type ConnectOptions,
  delimited,
  lengthPrefixed,
  raw,
  serve,
  type ServeOptions,
  Server,
} from "@parley/parley";
import { concat, pattern, text, utf8 } from "./support/bytes.ts";
import { testCerts } from "./support/programs/certs.ts";
import { tcpExchange } from "./support/peers/raw_peer.ts";
import { ask, lines, started } from "./support/peers/servers.ts";
import { TempDir } from "./support/programs/temp_dir.ts";

const windows = Deno.build.os === "windows" ? " (ignored: no unix sockets here)" : "";

Deno.test("serve(handler) listens on a free port of loopback, with length-prefixed messages", async () => {
  await using server = serve(async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  assert(server instanceof Server);
  await server.ready;
  assert(server.addr.transport === "tcp" && server.addr.hostname === "127.0.0.1");
  await using conn = await connect(server.addr);
  assertEquals(await ask(conn, "Hi!"), "Hi!");
  assertEquals(await tcpExchange(server.addr.port, utf8("\0\0\0\x02ok")), "\0\0\0\x02ok");
});

Deno.test("serve(options, handler) listens as the options say", async () => {
  await using server = serve({ framing: delimited("\r\n"), data: () => 7 }, async (conn) => {
    for await (const message of conn) await conn.send(`${conn.data} ${text(message)}`);
  });
  await server.ready;
  assert(server.addr.transport === "tcp");
  assertEquals(await tcpExchange(server.addr.port, utf8("one\r\ntwo\r\n")), "7 one\r\n7 two\r\n");
});

Deno.test("serve() takes a handler that is no async function", async () => {
  await using server = serve(lines, (conn) => {
    void conn.send("bye");
  });
  await server.ready;
  await using conn = await connect({ ...lines, ...server.addr });
  assertEquals(text((await conn.receive())!), "bye");
  assertEquals(await conn.receive(), null);
});

Deno.test("serve() serves peers that know nothing of Parley: whole, in pieces, and byte by byte", async () => {
  await using test = await started();
  assert(test.server.addr.transport === "tcp");
  const { port } = test.server.addr;
  const input = "a line\n\nan empty one before, and a long one: " + "x".repeat(3000) + "\n";
  for (const pieceBytes of [1, 3, 4096]) {
    assertEquals(await tcpExchange(port, utf8(input), pieceBytes), input);
  }
});

Deno.test("serve() answers many connections at a time, each in order", async () => {
  await using test = await started();
  await Promise.all(Array.from({ length: 100 }, async (_, client) => {
    await using conn = await test.connect();
    for (let i = 0; i < 20; i++) void conn.send(`${client} ${i}`);
    for (let i = 0; i < 20; i++) assertEquals(text((await conn.receive())!), `${client} ${i}`);
  }));
  const { overall, connectionsPeak } = test.server.stats();
  assertEquals([overall.connectionsOpened, overall.messagesIn, overall.messagesOut], [
    100,
    2000,
    2000,
  ]);
  assertEquals(connectionsPeak, 100);
});

Deno.test("serve() hands on a large input without change", async () => {
  const input = pattern(8 * 2 ** 20);
  await using test = await started({ framing: raw() });
  await using conn = await test.connect({ framing: raw() });
  const sending = (async () => {
    for (let at = 0; at < input.length; at += 100_000) {
      await conn.send(input.subarray(at, at + 100_000));
    }
    await conn.closeWrite();
  })();
  const chunks: Uint8Array[] = [];
  for await (const chunk of conn) chunks.push(chunk);
  await sending;
  const output = concat(chunks);
  assertEquals(output.length, input.length);
  assert(output.every((byte, i) => byte === input[i]));
});

/** The same exchange over any server: small, empty and large messages, and an orderly end. */
async function converse(
  options: ServeOptions,
  clientOptions: Partial<ConnectOptions> = {},
): Promise<void> {
  await using test = await started({ framing: lengthPrefixed(), ...options });
  const conn = await test.connect({ framing: lengthPrefixed(), ...clientOptions });
  for (const message of [utf8("Hi!"), new Uint8Array(0), pattern(2 ** 20)]) {
    await conn.send(message);
    assertEquals(await conn.receive(), message);
  }
  assertEquals([conn.tls !== undefined, options.tls !== undefined], [
    clientOptions.tls !== undefined,
    clientOptions.tls !== undefined,
  ]);
  const shutdown = test.server.shutdown();
  assertEquals(await conn.receive(), null);
  await conn.close();
  await shutdown;
  assertEquals([(await conn.closed).error, test.codes], [null, []]);
}

Deno.test("serve() and connect() speak the same over TCP and every pairing of TLS backends", async () => {
  await converse({});
  const { ca, server, client } = await testCerts();
  const backends = ["deno", "node", "auto"] as const;
  for (const backend of backends) {
    for (const clientBackend of backends) {
      const tls = { caCerts: [ca.cert], backend: clientBackend };
      await converse({ tls: { ...server, backend } }, { hostname: "localhost", tls });
      if (backend === "deno") continue;
      // Mutual: the client shows a certificate, too.
      await converse({ tls: { ...server, backend, clientCa: ca.cert } }, {
        hostname: "localhost",
        tls: { ...tls, ...client },
      });
    }
  }
});

Deno.test({
  name: `serve() and connect() speak the same over unix sockets, with and without TLS${windows}`,
  ignore: windows !== "",
  async fn() {
    await using folder = new TempDir();
    const path = `${folder.path}/app.sock`;
    await converse({ path });
    const { ca, server } = await testCerts();
    await converse({ path, tls: server }, { tls: { caCerts: [ca.cert] } });
  },
});

const hasCurl = await new Deno.Command("curl", {
  args: ["--version"],
  stdout: "null",
  stderr: "null",
})
  .output().then(({ success }) => success, () => false);

Deno.test({
  name: `serve() talks lines with curl telnet://${hasCurl ? "" : " (ignored: curl is missing)"}`,
  ignore: !hasCurl,
  async fn() {
    await using test = await started({ framing: delimited("\r\n") }, async (conn) => {
      for await (const message of conn) {
        await conn.send(`re ${text(message)}`);
        if (text(message) === "bye") return;
      }
    });
    assert(test.server.addr.transport === "tcp");
    const child = new Deno.Command("curl", {
      args: [
        "--silent",
        "--no-buffer",
        "--max-time",
        "10",
        `telnet://127.0.0.1:${test.server.addr.port}`,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(utf8("one\r\ntwo\r\nbye\r\n"));
    let heard = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      heard += chunk;
      // It stays until its time is over, whatever the server does.
      if (heard.endsWith("bye\r\n")) child.kill();
    }
    await child.status;
    await writer.close().catch(() => {});
    assertEquals(heard, "re one\r\nre two\r\nre bye\r\n");
  },
});
