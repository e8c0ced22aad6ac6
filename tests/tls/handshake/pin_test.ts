// Tests of pins: exactly the certificate that is pinned, names and issuers aside, on both sides.
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { Client, connect, type ConnectOptions, serve, type ServeOptions } from "@parley/parley";
import { ClosedError, TlsError } from "../../../errors.ts";
import {
  createCa,
  createCertificate,
  type Credentials,
  loadTls,
  readCertificates,
} from "../../../tls/mod.ts";
import type { ClientTlsOptions, ServerTlsOptions } from "../../../tls/handshake/options.ts";
import { until } from "../../support/wait.ts";

const dayMs = 86_400_000;
const ca = await createCa();
const server = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
const [agent, stranger] = await Promise.all(
  ["agent", "x"].map((name) => createCertificate({ ca, client: true, name })),
);
const past = new Date(Date.now() - 40 * dayMs);

/** As other programs make them: for itself, without names, an authority or not. */
async function selfSigned(isCa: boolean): Promise<Credentials> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "O=Acme Co",
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [new x509.BasicConstraintsExtension(isCa, undefined, true)],
  });
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toBase64();
  return {
    cert: certificate.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`,
  };
}

function fingerprint(pem: string): string {
  return readCertificates(pem)[0]!.fingerprint256;
}

function withColons(hex: string): string {
  return hex.toUpperCase().replace(/..(?!$)/g, "$&:");
}

/** Asks a server one thing; the answer, or the error of either step. */
async function ask(
  serverTls: ServerTlsOptions,
  clientTls: ClientTlsOptions,
  more: Partial<ConnectOptions> = {},
) {
  const refused: unknown[] = [];
  const options: ServeOptions = { tls: serverTls, onError: (error) => void refused.push(error) };
  await using listening = serve(options, async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await listening.ready;
  try {
    await using conn = await connect(
      { ...listening.addr, tls: clientTls, ...more } as ConnectOptions,
    );
    await conn.send("hello");
    return { answer: new TextDecoder().decode((await conn.receive())!), tls: conn.tls, refused };
  } catch (error) {
    if (serverTls.pin !== undefined) {
      await until("the server has told why", () => refused.length > 0);
    }
    return { error, refused };
  }
}

Deno.test("connect() with a pin trusts that certificate, names aside, by itself or its fingerprint", async () => {
  for (const identity of [server, await selfSigned(false), await selfSigned(true)]) {
    const hex = fingerprint(identity.cert);
    const [own] = identity.cert.split(/(?<=-----END CERTIFICATE-----\n?)(?=-----BEGIN)/);
    const pins = [own!, hex, withColons(hex), [fingerprint(ca.cert), hex]];
    for (const pin of pins) {
      const { answer, tls, error } = await ask(identity, { pin });
      assertEquals([answer, error], ["hello", undefined]);
      assertEquals(tls?.peerCertificate?.fingerprint256, hex);
    }
  }
});

Deno.test("connect() with a pin refuses every other certificate, and names its fingerprint", async () => {
  for (const pin of [fingerprint(ca.cert), ca.cert]) {
    const { error } = await ask(server, { pin });
    assert(error instanceof TlsError);
    assertEquals(error.code, "ERR_CERT_UNTRUSTED");
    assertStringIncludes(error.message, fingerprint(server.cert));
  }
});

Deno.test("connect() with a pin never goes back to authorities, and they never to a pin", async () => {
  const other = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
  for (let i = 0; i < 3; i++) {
    assertEquals((await ask(server, { pin: fingerprint(server.cert) })).answer, "hello");
    assert((await ask(other, { pin: fingerprint(server.cert) })).error instanceof TlsError);
    const { error } = await ask(await selfSigned(false), { caCerts: [ca.cert] });
    assert(error instanceof TlsError);
  }
});

Deno.test("connect() with a pin refuses the pinned certificate once it has expired", async () => {
  const oldCa = await createCa({ now: past });
  const expired = await createCertificate({ ca: oldCa, hosts: ["localhost"], now: past, days: 30 });
  const { now } = Date;
  // The server is started while its certificate is good.
  await using listening = serve({
    tls: await loadTls({
      ...expired,
      clock: { now: () => past.getTime() + dayMs, schedule: () => () => {} },
    }),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  }, () => {});
  await listening.ready;
  const dialling = () =>
    connect({ ...listening.addr, tls: { pin: fingerprint(expired.cert) } } as ConnectOptions);
  const error = await assertRejects(dialling, TlsError);
  assertEquals([error.code, Date.now], ["ERR_CERT_EXPIRED", now]);
});

Deno.test("serve() with a pin lets in exactly that client, whatever authority issued its certificate", async () => {
  const trust = { caCerts: [ca.cert] };
  const own = await selfSigned(false);
  for (const identity of [agent!, own]) {
    for (
      const pin of [identity.cert, withColons(fingerprint(identity.cert)), [
        fingerprint(server.cert),
        fingerprint(identity.cert),
      ]]
    ) {
      const { answer, error } = await ask({ ...server, pin }, { ...trust, ...identity });
      assertEquals([answer, error], ["hello", undefined]);
    }
  }
  for (const identity of [stranger!, undefined]) {
    const { error, refused } = await ask({ ...server, pin: agent!.cert }, {
      ...trust,
      ...identity,
    });
    assert(error instanceof TlsError || error instanceof ClosedError, `${error}`);
    assertEquals((refused[0] as TlsError).name, "TlsError");
  }
});

Deno.test("tls.pin is refused beside authorities, by the deno backend, and when it pins nothing", async () => {
  const hex = fingerprint(server.cert);
  const wrong: [ClientTlsOptions & Partial<ServerTlsOptions>, string][] = [
    [{ pin: hex, caCerts: [ca.cert] }, '"pin" and "caCerts" exclude each other'],
    [{ pin: hex, caFile: "ca.pem" }, '"pin" and "caFile" exclude each other'],
    [{ pin: hex, backend: "deno" }, '"deno" backend'],
    [{ pin: [] }, "empty array"],
    [{ pin: "server.pem" }, "SHA-256 fingerprint of 64 hex digits"],
    [{ pin: hex.slice(2) }, "it is a text of 62 characters"],
    [{ pin: server.cert + ca.cert }, "it holds 2 certificates"],
    [{ pin: server.key }, "one certificate in PEM"],
    [{ pin: 7 as unknown as string }, "of type number"],
  ];
  for (const [tls, text] of wrong) {
    await assertRejects(() => connect({ port: 9, tls }), TypeError, text);
    assertThrows(() => new Client({ port: 9, tls }), TypeError, text);
  }
  const listening: [Partial<ServerTlsOptions>, string][] = [
    [{ pin: hex, clientCa: ca.cert }, '"pin" and "clientCa" exclude each other'],
    [{ pin: hex, clientCaFile: "ca.pem" }, '"pin" and "clientCaFile" exclude each other'],
    [{ pin: hex, backend: "deno" }, '"deno" backend cannot ask for client certificates'],
  ];
  for (const [tls, text] of listening) {
    await assertRejects(() => loadTls({ ...server, ...tls } as ServerTlsOptions), TypeError, text);
  }
});
