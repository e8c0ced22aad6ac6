// openssl s_client as a peer that knows nothing of Parley: lines over TLS, and client certificates
// of every kind.
import { assert, assertEquals } from "@std/assert";
import type { Connection, ServeOptions } from "@parley/parley";
import { createCa, createCertificate } from "@parley/parley/tls";
import { text } from "../support/bytes.ts";
import { testCerts } from "../support/programs/certs.ts";
import { started, type TestServer } from "../support/peers/servers.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { until } from "../support/wait.ts";
import { hasOpenssl, openssl } from "../tls/openssl.ts";

const ignore = !hasOpenssl;

/** Answers lines until one says `bye`. */
async function talk(conn: Connection): Promise<void> {
  for await (const message of conn) {
    await conn.send(`re ${text(message)}`);
    if (text(message) === "bye") return;
  }
}

interface Spoken {
  readonly code: number;
  /** What the server sent. */
  readonly heard: string;
  /** What openssl said of it. */
  readonly said: string;
}

/** Lets openssl connect, send `input`, and listen to the end. */
async function sClient(test: TestServer, input: string, ...args: string[]): Promise<Spoken> {
  assert(test.server.addr.transport === "tcp");
  const child = new Deno.Command("openssl", {
    args: [
      "s_client",
      "-connect",
      `127.0.0.1:${test.server.addr.port}`,
      "-servername",
      "localhost",
      "-quiet",
      "-verify_return_error",
      ...args,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {}); // it may be gone already
  // Its input stays open: at its end openssl would leave before it has heard the answer.
  const { code, stdout, stderr } = await child.output();
  await writer.close().catch(() => {});
  return { code, heard: text(stdout), said: text(stderr) };
}

/** The files that openssl wants. */
async function writeFiles(folder: TempDir, files: Record<string, string>): Promise<void> {
  await Promise.all(
    Object.entries(files).map(([name, pem]) => Deno.writeTextFile(`${folder.path}/${name}`, pem)),
  );
}

for (const backend of ["auto", "node", "deno"] as const) {
  Deno.test({
    name:
      `serve() with TLS, backend ${backend}, talks lines with openssl s_client, by TLS 1.3 and 1.2, and refuses 1.1${openssl}`,
    ignore,
    async fn() {
      const { ca, server: identity } = await testCerts();
      await using folder = new TempDir();
      await writeFiles(folder, { "ca.pem": ca.cert });
      await using test = await started({ tls: { ...identity, backend } }, talk);
      const trust = ["-CAfile", `${folder.path}/ca.pem`, "-verify_hostname", "localhost"];
      const versions = await Promise.all([
        sClient(test, "one\ntwo\nbye\n", ...trust),
        sClient(test, "one\ntwo\nbye\n", ...trust, "-tls1_2"),
        sClient(test, "one\ntwo\nbye\n", ...trust, "-tls1_3"),
      ]);
      for (const { code, heard, said } of versions) {
        assertEquals([code, heard], [0, "re one\nre two\nre bye\n"], said);
      }
      const old = await sClient(test, "one\n", ...trust, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0");
      assertEquals([old.code !== 0, old.heard], [true, ""]);
      const untrusting = await sClient(test, "one\n");
      assertEquals([untrusting.code !== 0, untrusting.heard], [true, ""]);
      assertEquals(test.server.stats().overall.connectionsOpened, 3);
      await until(
        "both failures are counted",
        () => test.server.stats().overall.handshakeFailures === 2,
      );
    },
  });
}

Deno.test({
  name:
    `serve() with clientCa lets openssl in with a certificate of that authority, and nobody else${openssl}`,
  ignore,
  async fn() {
    const { ca, server: identity, client } = await testCerts();
    const longAgo = new Date(Date.now() - 30 * 86_400_000);
    const oldCa = await createCa({ name: "Old CA", now: longAgo });
    const [expired, future, wrong, forServers, ofOldCa] = await Promise.all([
      createCertificate({ ca: oldCa, client: true, name: "expired", days: 2, now: longAgo }),
      createCertificate({
        ca: oldCa,
        client: true,
        name: "future",
        days: 2,
        now: new Date(Date.now() + 86_400_000),
      }),
      createCertificate({
        ca: await createCa({ name: "Stranger" }),
        client: true,
        name: "stranger",
      }),
      createCertificate({ ca: oldCa, hosts: ["localhost"] }),
      createCertificate({ ca: oldCa, client: true, name: "agent-8" }),
    ]);
    await using folder = new TempDir();
    const files = { client, expired, future, wrong, forServers, ofOldCa };
    await writeFiles(folder, { "ca.pem": ca.cert });
    for (const [name, { cert, key }] of Object.entries(files)) {
      await writeFiles(folder, { [`${name}.pem`]: cert, [`${name}.key`]: key });
    }
    const names: unknown[] = [];
    const options: ServeOptions = {
      tls: { ...identity, clientCa: [ca.cert, oldCa.cert] },
      onConnect: (conn) => names.push(conn.tls?.peerCertificate?.subject),
    };
    await using test = await started(options, talk);
    const speak = (name: string, ...more: string[]) =>
      sClient(
        test,
        "one\nbye\n",
        "-CAfile",
        `${folder.path}/ca.pem`,
        ...more,
        ...name === "" ? [] : [
          "-cert",
          `${folder.path}/${name}.pem`,
          "-key",
          `${folder.path}/${name}.key`,
        ],
      );
    for (const version of ["-tls1_3", "-tls1_2"]) {
      const refused = ["", "expired", "future", "wrong", "forServers"];
      const before = test.server.stats().overall.handshakeFailures;
      const [good, other, ...bad] = await Promise.all([
        speak("client", version),
        speak("ofOldCa", version),
        ...refused.map((name) => speak(name, version)),
      ]);
      assertEquals([good!.code, good!.heard], [0, "re one\nre bye\n"], good!.said);
      assertEquals([other!.code, other!.heard], [0, "re one\nre bye\n"], other!.said);
      for (const [i, { code, heard, said }] of bad.entries()) {
        assertEquals(
          [code !== 0, heard],
          [true, ""],
          `${version} ${refused[i] || "missing"}: ${said}`,
        );
      }
      await until(
        "every refusal is counted",
        () => test.server.stats().overall.handshakeFailures === before + refused.length,
      );
    }
    assertEquals(names.toSorted(), ["CN=agent-7", "CN=agent-7", "CN=agent-8", "CN=agent-8"]);
    assertEquals(test.server.stats().overall.connectionsOpened, 4);
    assert(test.codes.every((code) => code.startsWith("handshake ERR_")), test.codes.join());
  },
});

Deno.test({
  name:
    `serve() with TLS survives openssl clients that are killed in mid-handshake and in mid-message${openssl}`,
  ignore,
  async fn() {
    const { ca, server: identity } = await testCerts();
    await using folder = new TempDir();
    await writeFiles(folder, { "ca.pem": ca.cert });
    await using test = await started({ tls: identity }, talk);
    assert(test.server.addr.transport === "tcp");
    const { port } = test.server.addr;
    const command = new Deno.Command("openssl", {
      args: ["s_client", "-connect", `127.0.0.1:${port}`, "-quiet"],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    });
    for (let i = 0; i < 3; i++) {
      const child = command.spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode("half a li"));
      await until("it is in mid-message", () => {
        const [live] = test.server.stats().connections;
        return live !== undefined && live.heldBytes > 0;
      });
      child.kill("SIGKILL");
      await child.status;
      await writer.close().catch(() => {});
      await until("no connection is open", () => test.server.connections.size === 0);
    }
    // A client hello that is cut in the middle.
    using socket = await Deno.connect({ port });
    await socket.write(new Uint8Array([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]));
    socket.close();
    await until(
      "the handshake has failed",
      () => test.server.stats().overall.handshakeFailures === 1,
    );
    const { heard, said } = await sClient(test, "bye\n", "-CAfile", `${folder.path}/ca.pem`);
    assertEquals(heard, "re bye\n", said);
  },
});
