// Tests of loadTls() and openServerCredentials(): what is taken, what is refused and why.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { TlsError } from "../../errors.ts";
import { openServerCredentials, resolveClientTls } from "../../tls/load.ts";
import {
  createCa,
  createCertificate,
  loadTls,
  type LoadTlsOptions,
  readCertificates,
} from "../../tls/mod.ts";
import type { Credentials, ServerTlsOptions } from "../../tls/handshake/options.ts";
import { withFiles } from "./files.ts";
import { type Backend, tryHandshake } from "./handshake.ts";

const dayMs = 86_400_000;
const ca = await createCa({ name: "Test CA" });
const other = await createCa({ name: "Other CA" });
const server = await createCertificate({ ca, hosts: ["localhost", "*.example.com"] });
const client = await createCertificate({ ca, client: true });
const ago = (days: number) => new Date(Date.now() - days * dayMs);
const oldCa = await createCa({ now: ago(40) });
const expired = await createCertificate({
  ca: oldCa,
  hosts: ["localhost"],
  now: ago(40),
  days: 30,
});
const early = await createCertificate({ ca: oldCa, hosts: ["localhost"], now: ago(-5), days: 1 });
const expiredCa = await createCa({ now: ago(40), days: 10 });

/** A self-signed certificate for a key of any kind. */
async function selfSign(
  algorithm: RsaHashedKeyGenParams | EcKeyGenParams,
): Promise<Credentials & { key: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=localhost",
    keys,
    signingAlgorithm: { name: algorithm.name, hash: "SHA-256" },
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }]),
    ],
  });
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toBase64();
  const key = `-----BEGIN PRIVATE KEY-----\n${
    der.replace(/.{64}/g, "$&\n")
  }\n-----END PRIVATE KEY-----\n`;
  return { cert: certificate.toString("pem"), key };
}

const rsaParameters = {
  name: "RSASSA-PKCS1-v1_5",
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};
const rsa = await selfSign({ ...rsaParameters, modulusLength: 2048 });
const weak = await selfSign({ ...rsaParameters, modulusLength: 1024 });

function exportPem(key: KeyObject, type: "pkcs1" | "sec1" | "pkcs8", passphrase?: string): string {
  const lock = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase };
  return key.export({ type, format: "pem", ...lock } as { type: "pkcs8"; format: "pem" })
    .toString();
}

const locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
const lockedOld =
  "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB\n" +
  "-----END RSA PRIVATE KEY-----\n";
const secp256k1 = exportPem(
  generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
  "pkcs8",
);
const broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/** Options from plain JavaScript may be anything. */
function untyped(options: Record<string, unknown>): ServerTlsOptions {
  return options as unknown as ServerTlsOptions;
}

const badOptions: [
  what: string,
  options: ServerTlsOptions,
  kind: typeof TypeError | typeof RangeError,
  text: string,
][] = [
  ["nothing", untyped({}), TypeError, `give "cert" and "key", or "certFile" and "keyFile"`],
  ["a certificate without a key", untyped({ cert: server.cert }), TypeError, `"cert" needs "key"`],
  ["a key without a certificate", untyped({ key: server.key }), TypeError, `"key" needs "cert"`],
  [
    "a certificate's file alone",
    untyped({ certFile: "a" }),
    TypeError,
    `"certFile" needs "keyFile"`,
  ],
  ["a key's file alone", untyped({ keyFile: "a" }), TypeError, `"keyFile" needs "certFile"`],
  [
    "text and files",
    untyped({ ...server, certFile: "a", keyFile: "b" }),
    TypeError,
    `exclude "certFile" and "keyFile"`,
  ],
  [
    "half of each",
    untyped({ cert: server.cert, keyFile: "b" }),
    TypeError,
    `exclude "certFile" and "keyFile"`,
  ],
  [
    "a number for a text",
    untyped({ cert: 5, key: server.key }),
    TypeError,
    `"cert" must be a string`,
  ],
  [
    "bytes for a text",
    untyped({ cert: new Uint8Array(), key: server.key }),
    TypeError,
    `"cert" must be a string`,
  ],
  [
    "a text to watch",
    untyped({ ...server, watch: true }),
    TypeError,
    `"watch" needs "certFile" and "keyFile"`,
  ],
  [
    "a string for watch",
    untyped({ certFile: "a", keyFile: "b", watch: "yes" }),
    TypeError,
    `"watch" must be a boolean`,
  ],
  ["no client authority", { ...server, clientCa: [] }, TypeError, `"clientCa" must be PEM text`],
  [
    "an old version",
    untyped({ ...server, minVersion: "TLSv1.1" }),
    TypeError,
    `"minVersion" must be one of`,
  ],
  [
    "versions upside down",
    { ...server, minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
    RangeError,
    `"minVersion" must not`,
  ],
  [
    "an unknown backend",
    untyped({ ...server, backend: "bun" }),
    TypeError,
    `"backend" must be one of`,
  ],
  [
    "an empty protocol",
    { ...server, alpnProtocols: [""] },
    TypeError,
    `"alpnProtocols" must be 1 to 255`,
  ],
  [
    "a protocol of 256 bytes",
    { ...server, alpnProtocols: ["x".repeat(256)] },
    TypeError,
    `"alpnProtocols" must be 1 to 255`,
  ],
  [
    "a string of protocols",
    untyped({ ...server, alpnProtocols: "h2" }),
    TypeError,
    `"alpnProtocols" must be an array`,
  ],
  [
    "client certificates natively",
    { ...server, backend: "deno", clientCa: ca.cert },
    TypeError,
    `"deno" backend cannot ask`,
  ],
  [
    "names natively",
    { ...server, backend: "deno", sni: {} },
    TypeError,
    `"deno" backend knows one certificate only`,
  ],
  [
    "watching natively",
    { certFile: "a", keyFile: "b", watch: true, backend: "deno" },
    TypeError,
    `"deno" backend cannot change`,
  ],
  [
    "a version natively",
    { ...server, backend: "deno", minVersion: "TLSv1.3" },
    TypeError,
    `"deno" backend always speaks`,
  ],
  [
    "an address for a name",
    { ...server, sni: { "127.0.0.1": server } },
    TypeError,
    `a name of "sni" must be a DNS name`,
  ],
  [
    "a name twice",
    { ...server, sni: { "a.example": server, "A.example.": server } },
    TypeError,
    `"a.example" twice`,
  ],
  [
    "a name without identity",
    { ...server, sni: untyped({ "a.example": {} }) as never },
    TypeError,
    `sni["a.example"].cert`,
  ],
];
for (const [what, options, kind, text] of badOptions) {
  Deno.test(`loadTls refuses ${what} with ${kind.name}, before it reads anything`, async () => {
    await assertRejects(() => loadTls(options), kind, text);
  });
}

const badTexts: [what: string, options: Credentials, text: string][] = [
  [
    "no PEM for a certificate",
    { ...server, cert: "hello\nworld" },
    `"cert": it must hold a "CERTIFICATE" block in PEM, it holds no`,
  ],
  [
    "a path for a certificate",
    { ...server, cert: "/etc/parley/server.pem" },
    `"cert" must be PEM text: it looks like a path, which "certFile" takes`,
  ],
  [
    "a path for a key",
    { ...server, key: "server.key" },
    `"key" must be PEM text: it looks like a path, which "keyFile"`,
  ],
  ["a key for a certificate", { ...server, cert: server.key }, `it holds a "PRIVATE KEY" block`],
  [
    "a certificate for a key",
    { ...server, key: server.cert },
    `"key": it must hold a private key in PEM, it holds a "CERT`,
  ],
  ["an empty key", { ...server, key: "" }, "it holds no PEM block"],
  [
    "two keys",
    { ...server, key: server.key + client.key },
    "must hold one private key, it holds 2",
  ],
  [
    "a certificate that does not end",
    { ...server, cert: server.cert.slice(0, 200) },
    `"CERTIFICATE" block has no end`,
  ],
  [
    "a certificate that is not base64",
    { ...server, cert: server.cert.replace(/M/g, "?") },
    "is not base64",
  ],
  ["a broken certificate", { ...server, cert: broken }, `"cert": its certificate is broken`],
  [
    "a broken second certificate",
    { ...server, cert: server.cert + broken },
    "certificate 2 of 2 is broken",
  ],
  [
    "a broken key",
    { ...server, key: "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----" },
    "private key is broken",
  ],
  [
    "a key with a passphrase",
    { ...server, key: locked },
    `locked with a passphrase: unlock it with "openssl pkey"`,
  ],
  ["an old key with a passphrase", { ...server, key: lockedOld }, "locked with a passphrase"],
  [
    "a key of another form",
    { ...server, key: server.key.replaceAll("PRIVATE", "DSA PRIVATE") },
    `it is a "DSA PRIVATE KEY"`,
  ],
  ["a curve that TLS lacks", { ...server, key: secp256k1 }, `on "secp256k1"`],
  ["a weak RSA key", weak, 'RSA of 2048 bits or more: it is "rsa" of 1024 bits'],
];
for (const [what, options, text] of badTexts) {
  Deno.test(`loadTls refuses ${what} with TypeError`, async () => {
    const error = await assertRejects(() => loadTls(options), TypeError, text);
    assert(
      !error.message.includes(options.key.slice(40, 60)) || options.key.length < 60,
      "the key shows",
    );
  });
}

const chain = server.cert + ca.cert;
const badCertificates: [what: string, options: ServerTlsOptions, code: string, text: string][] = [
  [
    "one that has expired",
    expired,
    "ERR_CERT_EXPIRED",
    `"cert": the certificate "CN=localhost" has expired: its time was 20`,
  ],
  ["one of the future", early, "ERR_CERT_EXPIRED", "is not yet valid: its time is 20"],
  [
    "another's key",
    { ...server, key: client.key },
    "ERR_CERT_KEY_MISMATCH",
    "none of its certificates is for that key",
  ],
  [
    "the chain upside down",
    { ...server, cert: ca.cert + server.cert },
    "ERR_CERT_KEY_MISMATCH",
    "key is for certificate 2",
  ],
  [
    "a chain of strangers",
    { ...server, cert: server.cert + other.cert },
    "ERR_CERT_UNTRUSTED",
    `certificate 2 is "CN=Other CA"`,
  ],
  [
    "a chain of a namesake",
    { ...server, cert: server.cert + (await createCa({ name: "Test CA" })).cert },
    "ERR_CERT_UNTRUSTED",
    "must be in order",
  ],
  [
    "a client's certificate",
    client,
    "ERR_CERT_UNTRUSTED",
    `another purpose: its extended key usage is "client"`,
  ],
  [
    "client authorities of the past",
    { ...server, clientCa: expiredCa.cert },
    "ERR_CERT_EXPIRED",
    `"clientCa"`,
  ],
  [
    "a name that is not its own",
    { ...server, sni: { "b.example": server } },
    "ERR_CERT_WRONG_HOST",
    `it is for "DNS:localhost"`,
  ],
  [
    "a name with another's key",
    { ...server, sni: { localhost: { ...server, key: client.key } } },
    "ERR_CERT_KEY_MISMATCH",
    "sni[",
  ],
];
for (const [what, options, code, text] of badCertificates) {
  Deno.test(`loadTls refuses ${what}: ${code}`, async () => {
    const error = await assertRejects(() => loadTls(options), TlsError, text);
    assertEquals(error.code, code);
  });
}

Deno.test("loadTls tells which option names a file that is missing, and keeps the error's class", async () => {
  await withFiles({ "a.pem": server.cert, "a.key": server.key }, async (directory) => {
    const [certFile, keyFile, missing] = [
      `${directory}/a.pem`,
      `${directory}/a.key`,
      `${directory}/none`,
    ];
    const cases: [LoadTlsOptions, string][] = [
      [{ certFile: missing, keyFile }, "certFile"],
      [{ certFile, keyFile: missing }, "keyFile"],
      [{ certFile, keyFile, clientCaFile: missing }, "clientCaFile"],
    ];
    for (const [options, name] of cases) {
      const text = `Cannot use the file of "${name}": there is no such file: ${
        JSON.stringify(missing)
      }`;
      await assertRejects(() => loadTls(options), Deno.errors.NotFound, text);
    }
    await assertRejects(
      () => loadTls({ certFile: directory, keyFile }),
      Error,
      `Cannot use the file of "certFile": it cannot`,
    );
    const error = await assertRejects(
      () => loadTls({ certFile: keyFile, keyFile }),
      TlsError,
      `the file of "certFile" (`,
    );
    assertEquals(error.code, "ERR_CERT_MALFORMED");
  });
});

Deno.test("loadTls takes a chain with its root, text between the blocks and a file that holds both", async () => {
  const mixed = `Notes\r\n${chain.replaceAll("\n", "\r\n")}\nmore\n${server.key}`;
  await withFiles({ "all.pem": mixed }, async (directory) => {
    using loaded = await loadTls({
      certFile: `${directory}/all.pem`,
      keyFile: `${directory}/all.pem`,
    });
    assertEquals(loaded.cert, chain);
    assertEquals(loaded.key, server.key);
    assertEquals(loaded.notAfter, readCertificates(server.cert)[0]?.notAfter);
  });
});

Deno.test("loadTls gives what serve and connect take, with every default", async () => {
  using loaded = await loadTls({
    ...server,
    clientCa: [ca.cert, other.cert],
    alpnProtocols: ["a"],
  });
  const asServer: ServerTlsOptions = loaded;
  const source = await openServerCredentials(asServer);
  assertEquals(source.current.clientCa, [ca.cert, other.cert]);
  assertEquals({ ...loaded }, {
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    alpnProtocols: ["a"],
    backend: "auto",
  });
  assertEquals(loaded.clientCa, [ca.cert, other.cert]);
  using plain = await loadTls(server);
  assertEquals(plain.clientCa, undefined);
  const both = await createCertificate({ ca, hosts: ["localhost"], client: true });
  using forBoth = await loadTls(both);
  assertEquals((await resolveClientTls(forBoth)).cert, both.cert);
});

const ecKey = createPrivateKey(server.key);
const rsaKey = createPrivateKey(rsa.key);
const keyForms: [form: string, identity: Credentials, ca: string][] = [
  ["EC, PKCS #8", server, ca.cert],
  ["EC, SEC 1", { ...server, key: exportPem(ecKey, "sec1") }, ca.cert],
  ["RSA, PKCS #8", rsa, rsa.cert],
  ["RSA, PKCS #1", { ...rsa, key: exportPem(rsaKey, "pkcs1") }, rsa.cert],
];
for (const [form, identity, authority] of keyForms) {
  Deno.test(`openServerCredentials gives a key that every backend takes: ${form}`, async () => {
    const source = await openServerCredentials(identity);
    const { cert, key } = source.current;
    source.close();
    assert(key.startsWith("-----BEGIN PRIVATE KEY-----\n"));
    for (const backend of ["deno", "node"] satisfies Backend[]) {
      const trust = { ca: authority, hostname: "localhost" };
      assertEquals(
        await tryHandshake({ server: backend, client: backend }, { cert, key }, trust),
        "ok",
        backend,
      );
    }
  });
}
