// Tests of resolveClientTls(): what a client trusts and shows.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { TlsError } from "../../errors.ts";
import { resolveClientTls } from "../../tls/load.ts";
import { createCa, createCertificate } from "../../tls/mod.ts";
import type { ClientTlsOptions } from "../../tls/handshake/options.ts";
import { withFiles } from "./files.ts";

const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
const ca = await createCa({ name: "Test CA" });
const other = await createCa({ name: "Other CA" });
const oldCa = await createCa({ now: ago(40) });
const expiredCa = await createCa({ now: ago(40), days: 10 });
const server = await createCertificate({ ca, hosts: ["localhost"] });
const client = await createCertificate({ ca, client: true });

Deno.test("resolveClientTls fills in the defaults and trusts the system when told nothing", async () => {
  assertEquals(await resolveClientTls({}), {
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    alpnProtocols: [],
    backend: "auto",
    caCerts: undefined,
  });
});

Deno.test("resolveClientTls joins authorities of text and file, and reads files at each call", async () => {
  await withFiles(
    { "ca.pem": other.cert, "a.pem": client.cert, "a.key": client.key },
    async (directory) => {
      const options: ClientTlsOptions = {
        caCerts: [ca.cert + oldCa.cert],
        caFile: `${directory}/ca.pem`,
        certFile: `${directory}/a.pem`,
        keyFile: `${directory}/a.key`,
        serverName: "localhost",
      };
      const resolved = await resolveClientTls(options);
      assertEquals(resolved.caCerts, [ca.cert, oldCa.cert, other.cert]);
      assertEquals([resolved.cert, resolved.key, resolved.serverName], [
        client.cert,
        client.key,
        "localhost",
      ]);
      const next = await createCertificate({ ca, client: true });
      await Deno.writeTextFile(`${directory}/a.pem`, next.cert);
      await assertRejects(() => resolveClientTls(options), TlsError, `the file of "keyFile"`);
      await Deno.writeTextFile(`${directory}/a.key`, next.key);
      assertEquals((await resolveClientTls(options)).key, next.key);
    },
  );
});

const badClients: [
  what: string,
  options: ClientTlsOptions,
  kind: new (code: never, text: never) => Error,
  text: string,
][] = [
  ["no authorities", { caCerts: [] }, TypeError, `"caCerts" must be PEM text`],
  [
    "a key for an authority",
    { caCerts: [ca.key] },
    TypeError,
    `"caCerts": it must hold a "CERTIFICATE"`,
  ],
  ["authorities of the past", { caCerts: [expiredCa.cert] }, TlsError, "the last CA certificate"],
  [
    "a server's certificate",
    server,
    TlsError,
    `for a client: the certificate "CN=localhost" is for another purpose`,
  ],
  ["half an identity", { cert: client.cert }, TypeError, `"cert" needs "key"`],
  [
    "a name with a port",
    { serverName: "a.example:443" },
    TypeError,
    `"serverName" must be a DNS name or an IP address`,
  ],
  [
    "a missing file",
    { caFile: "/nonexistent/ca.pem" },
    Deno.errors.NotFound,
    `the file of "caFile"`,
  ],
];
for (const [what, options, kind, text] of badClients) {
  Deno.test(`resolveClientTls refuses ${what}`, async () => {
    await assertRejects(() => resolveClientTls(options), kind as ErrorConstructor, text);
  });
}

Deno.test("resolveClientTls takes a bundle in which some authorities have expired, and names of both kinds", async () => {
  const bundle = expiredCa.cert + ca.cert;
  assertStrictEquals((await resolveClientTls({ caCerts: [bundle] })).caCerts?.length, 2);
  for (const serverName of ["a.example", "127.0.0.1", "::1"]) {
    assertEquals((await resolveClientTls({ serverName })).serverName, serverName);
  }
});
