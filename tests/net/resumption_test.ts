// Resumed TLS sessions: no client gets in by one whose certificate this server has not checked.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type Connection, delimited, serve } from "@parley/parley";
import { TlsError } from "../../errors.ts";
import { listen } from "../../net/listen.ts";
import type { Listener } from "../../net/transport/transport.ts";
import { createCa, createCertificate } from "../../tls/mod.ts";
import type { TlsVersion } from "../../tls/handshake/options.ts";
import { sourceOf, testCerts } from "../support/programs/certs.ts";
import { hasOpenssl, openssl } from "../tls/openssl.ts";

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  Deno.test({
    name:
      `listen() with clientCa resumes its own ${maxVersion} sessions and no other server's${openssl}`,
    ignore: !hasOpenssl,
    fn: () => checkResumption(maxVersion),
  });
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  Deno.test({
    name:
      `listen() with clientCa lets no client in by a ${maxVersion} session whose certificate has expired${openssl}`,
    ignore: !hasOpenssl,
    fn: () => checkExpired(maxVersion),
  });
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  Deno.test({
    name:
      `listen() with clientCa resumes ${maxVersion} sessions after the renewal of its certificate, and none by an authority that is trusted no more${openssl}`,
    ignore: !hasOpenssl,
    fn: () => checkRenewal(maxVersion),
  });
}

async function checkRenewal(maxVersion: TlsVersion): Promise<void> {
  const certs = await testCerts();
  const otherCa = await createCa({ name: "Other CA" });
  const renewed = await createCertificate({ ca: certs.ca, hosts: ["localhost", "127.0.0.1"] });
  const directory = await Deno.makeTempDir();
  const { cert, key } = certs.client;
  await Deno.writeTextFile(`${directory}/client.pem`, cert + "\n" + key);
  const credentials = sourceOf(certs.server, { clientCa: [certs.ca.cert] });
  const server = await listen({ port: 0, tls: { credentials, maxVersion } });
  try {
    const identity = ["-cert", "client.pem"];
    const save = [...identity, "-sess_out", "session"];
    const resume = [...save, "-sess_in", "session"];
    assertEquals(await connect(directory, server, save), "agent-7");
    credentials.change(renewed);
    assertEquals(await connect(directory, server, resume), "agent-7");
    credentials.change({ clientCa: [otherCa.cert] });
    const refused = () => connect(directory, server, resume);
    await assertRejects(refused, TlsError, "a resumed session proves nothing");
    // Back, but what was proven before is forgotten: nothing is known of the time in between.
    credentials.change({ clientCa: [certs.ca.cert] });
    await assertRejects(refused, TlsError, "a resumed session proves nothing");
    assertEquals(await connect(directory, server, save), "agent-7");
  } finally {
    server.close();
    await Deno.remove(directory, { recursive: true });
  }
}

for (const backend of ["node", "deno"] as const) {
  for (const version of ["tls1_2", "tls1_3"]) {
    Deno.test({
      name:
        `serve() with TLS, backend ${backend}, resumes a session of ${version} over a second connection${openssl}`,
      ignore: !hasOpenssl,
      fn: () => checkServer(backend, version),
    });
  }
}

async function checkServer(backend: "node" | "deno", version: string): Promise<void> {
  const { cert, key } = (await testCerts()).server;
  const directory = await Deno.makeTempDir();
  await using server = serve({ tls: { cert, key, backend }, framing: delimited("\n") }, echo);
  await server.ready;
  const { port } = server.addr as Deno.NetAddr;
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost"];
  args.push(`-${version}`, "-sess_out", "session");
  try {
    assertMatch(await converse(directory, args), /New, TLSv1/);
    assertMatch(await converse(directory, [...args, "-sess_in", "session"]), /Reused, TLSv1/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function echo(conn: Connection): Promise<void> {
  for await (const message of conn) await conn.send(message);
}

/** Sends a line by openssl, and leaves once it has come back: then the session is saved, too. */
async function converse(directory: string, args: string[]): Promise<string> {
  const options = { cwd: directory, stdin: "piped", stdout: "piped", stderr: "null" } as const;
  const child = new Deno.Command("openssl", { args, ...options }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("there and back\n"));
  let shown = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    shown += text;
    if (/\nthere and back\n/.test(shown)) await writer.close().catch(() => {});
  }
  await child.status;
  return shown;
}

async function checkExpired(maxVersion: TlsVersion): Promise<void> {
  const certs = await testCerts();
  const client = await createCertificate({ ca: certs.ca, client: true, name: "guest", days: 2 });
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/client.pem`, client.cert + "\n" + client.key);
  const credentials = sourceOf(certs.server, { clientCa: [certs.ca.cert] });
  const server = await listen({ port: 0, tls: { credentials, maxVersion } });
  const { now } = Date;
  try {
    assertEquals(
      await connect(directory, server, ["-cert", "client.pem", "-sess_out", "session"]),
      "guest",
    );
    const resume = ["-cert", "client.pem", "-sess_in", "session", "-sess_out", "session"];
    assertEquals(await connect(directory, server, resume), "guest");
    // The platform looks at the clock of the machine, and at a resumed certificate not at all.
    Date.now = () => now() + 3 * 86_400_000;
    const refused = () => connect(directory, server, resume);
    const error = await assertRejects(refused, TlsError, "a resumed session proves nothing");
    assertEquals(error.code, "ERR_TLS_HANDSHAKE");
  } finally {
    Date.now = now;
    server.close();
    await Deno.remove(directory, { recursive: true });
  }
}

async function checkResumption(maxVersion: TlsVersion): Promise<void> {
  const certs = await testCerts();
  const otherCa = await createCa({ name: "Other CA" });
  const stranger = await createCertificate({ ca: otherCa, client: true, name: "stranger" });
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/client.pem`, stranger.cert + "\n" + stranger.key);
  const open = (clientCa: string) =>
    listen({
      port: 0,
      tls: { credentials: sourceOf(certs.server, { clientCa: [clientCa] }), maxVersion },
    });
  const [theirs, ours] = await Promise.all([open(otherCa.cert), open(certs.ca.cert)]);
  try {
    const save = ["-cert", "client.pem", "-sess_out", "session"];
    const resume = ["-cert", "client.pem", "-sess_in", "session"];
    assertEquals(await connect(directory, theirs, save), "stranger");
    assertEquals(await connect(directory, theirs, resume), "stranger");
    // Deno decrypts it, as all servers of a process share their keys.
    await assertRejects(() => connect(directory, ours, resume), TlsError);
  } finally {
    theirs.close();
    ours.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** Lets openssl connect and waits for one byte of the server; returns the name that the server saw. */
async function connect(
  directory: string,
  listener: Listener,
  args: string[],
): Promise<string | undefined> {
  assert(listener.addr.transport === "tcp");
  const child = new Deno.Command("openssl", {
    args: [
      "s_client",
      "-connect",
      `127.0.0.1:${listener.addr.port}`,
      "-servername",
      "localhost",
      "-quiet",
      ...args,
    ],
    cwd: directory,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  try {
    const incoming = await listener.accept();
    const transport = await incoming!.open({ signal: new AbortController().signal });
    await transport.write(new Uint8Array([33]));
    await reader.read();
    const name = transport.tls?.peerCertificate?.subject.replace("CN=", "");
    transport.close();
    return name;
  } finally {
    await child.stdin.close().catch(() => {});
    await reader.cancel();
    await child.status;
  }
}
