// Tests of createCa() and createCertificate().
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { TlsError } from "../../errors.ts";
import { createCa, createCertificate, readCertificates } from "../../tls/mod.ts";
import { withFiles } from "./files.ts";
import { type Backend, tryHandshake } from "./handshake.ts";
import { hasOpenssl, openssl, runOpenssl } from "./openssl.ts";

const dayMs = 86_400_000;
const ca = await createCa({ name: "Test CA" });
const server = await createCertificate({
  ca,
  hosts: ["localhost", "127.0.0.1", "::1", "*.example.com"],
});
const client = await createCertificate({ ca, client: true, name: "agent-7" });
const backends: Backend[] = ["deno", "node"];

function one(pem: string) {
  const [certificate, ...others] = readCertificates(pem);
  assert(certificate !== undefined && others.length === 0);
  return certificate;
}

Deno.test("createCa makes an authority for leaves, valid for a year and from five minutes ago", async () => {
  const now = new Date("2030-01-02T03:04:05.678Z");
  const made = one((await createCa({ now })).cert);
  assertEquals(made.subject, "CN=Parley CA");
  assertEquals(made.issuer, "CN=Parley CA");
  assertEquals(made.isCa, true);
  assertEquals(made.keyType, "EC P-256");
  assertEquals(made.notBefore, new Date("2030-01-02T02:59:05Z"));
  assertEquals(made.notAfter, new Date("2031-01-02T03:04:05Z"));
});

Deno.test("createCertificate makes a server's certificate with its hosts, valid for 90 days", async () => {
  const now = new Date();
  const made = one(
    (await createCertificate({
      ca,
      hosts: ["EXAMPLE.com", "bücher.example", "2001:DB8::0:1"],
      now,
    })).cert,
  );
  assertEquals(made.subject, "CN=EXAMPLE.com");
  assertEquals(made.issuer, "CN=Test CA");
  assertEquals(made.subjectAltNames, [
    "DNS:example.com",
    "DNS:xn--bcher-kva.example",
    "IP Address:2001:db8::1",
  ]);
  assertEquals(made.extendedKeyUsage, ["server"]);
  assertEquals(made.isCa, false);
  assertEquals(Math.round((made.notAfter.getTime() - now.getTime()) / dayMs), 90);
});

Deno.test("createCertificate makes a client's certificate without hosts, and one for both with them", async () => {
  assertEquals(one(client.cert).subject, "CN=agent-7");
  assertEquals(one(client.cert).extendedKeyUsage, ["client"]);
  assertEquals(one((await createCertificate({ ca })).cert).subject, "CN=client");
  assertEquals(
    one((await createCertificate({ ca, name: "#é, O=x" })).cert).subject,
    "CN=\\#é\\, O=x",
  );
  const both = one((await createCertificate({ ca, hosts: ["a.example"], client: true })).cert);
  assertEquals(both.extendedKeyUsage, ["server", "client"]);
});

Deno.test("createCertificate gives each certificate a random serial number of 128 bits", async () => {
  const serials = [server.cert, client.cert, (await createCertificate({ ca })).cert].map((pem) =>
    one(pem).serialNumber
  );
  assertEquals(new Set(serials).size, serials.length);
  for (const serial of serials) assertMatch(serial, /^[4-7][0-9A-F]{31}$/);
});

Deno.test("createCertificate leaves the common name to a short host and the rest to the alternative names", async () => {
  const host = `${"a".repeat(63)}.example`;
  const made = one((await createCertificate({ ca, hosts: [host] })).cert);
  assertEquals(made.subject, "CN=server");
  assertEquals(made.subjectAltNames, [`DNS:${host}`]);
});

Deno.test("createCertificate never outlives its authority", async () => {
  const short = await createCa({ days: 30 });
  const end = one(short.cert).notAfter;
  assertEquals(one((await createCertificate({ ca: short })).cert).notAfter, end);
  assertEquals(one((await createCertificate({ ca: short, days: 30.5 })).cert).notAfter, end);
  await assertRejects(
    () => createCertificate({ ca: short, days: 90 }),
    RangeError,
    "90 days: its authority has 2",
  );
});

const badCa: [string, Parameters<typeof createCa>[0], typeof TypeError | typeof RangeError][] = [
  ["an empty name", { name: "" }, TypeError],
  ["a name of 65 characters", { name: "x".repeat(65) }, TypeError],
  ["a name with a line feed", { name: "a\nO=Admin" }, TypeError],
  ["no days", { days: 0 }, RangeError],
  ["negative days", { days: -1 }, RangeError],
  ["days that are no number", { days: NaN }, RangeError],
  ["endless days", { days: Infinity }, RangeError],
  ["days above the highest", { days: 3650.1 }, RangeError],
  ["a moment that does not exist", { now: new Date(NaN) }, RangeError],
];
for (const [what, options, kind] of badCa) {
  Deno.test(`createCa refuses ${what}`, async () => {
    await assertRejects(() => createCa(options), kind, "Cannot create a certificate:");
  });
}

for (
  const host of [
    "",
    "a b",
    "https://a.example",
    "a.example:443",
    "a/b",
    "*",
    "*.127.0.0.1",
    "a.*.example",
    "x".repeat(300),
  ]
) {
  Deno.test(`createCertificate refuses the host ${JSON.stringify(host.slice(0, 20))}`, async () => {
    await assertRejects(
      () => createCertificate({ ca, hosts: [host] }),
      TypeError,
      `each of "hosts" must be`,
    );
  });
}

Deno.test("createCertificate refuses to make one that is for neither servers nor clients", async () => {
  await assertRejects(
    () => createCertificate({ ca, client: false }),
    TypeError,
    "it is for neither",
  );
});

const other = await createCa();
const past = new Date(Date.now() - 40 * dayMs);
const badAuthorities: [string, () => Promise<{ cert: string; key: string }>, string, string][] = [
  [
    "whose key is another's",
    () => Promise.resolve({ cert: ca.cert, key: other.key }),
    "ERR_CERT_KEY_MISMATCH",
    `"ca.key"`,
  ],
  [
    "that is none",
    () => Promise.resolve(client),
    "ERR_CERT_UNTRUSTED",
    "may not issue certificates",
  ],
  [
    "whose time is over",
    () => createCa({ now: past, days: 30 }),
    "ERR_CERT_EXPIRED",
    "has expired",
  ],
];
for (const [what, make, code, text] of badAuthorities) {
  Deno.test(`createCertificate refuses an authority ${what}: ${code}`, async () => {
    const authority = await make();
    const error = await assertRejects(() => createCertificate({ ca: authority }), TlsError, text);
    assertEquals(error.code, code);
  });
}

for (const serverBackend of backends) {
  for (const clientBackend of backends) {
    const pair = { server: serverBackend, client: clientBackend };
    const between = `between a ${serverBackend} server and a ${clientBackend} client`;

    Deno.test(`createCertificate makes certificates that hold in a handshake ${between}`, async () => {
      for (const hostname of ["localhost", "a.example.com"]) {
        assertEquals(await tryHandshake(pair, server, { ca: ca.cert, hostname }), "ok");
      }
    });

    Deno.test(`createCertificate makes certificates that fail ${between} for a wrong host or authority`, async () => {
      for (
        const trusted of [{ ca: ca.cert, hostname: "b.a.example.com" }, {
          ca: other.cert,
          hostname: "localhost",
        }]
      ) {
        assertNotEquals(await tryHandshake(pair, server, trusted), "ok");
      }
    });

    Deno.test(`createCertificate with a past moment makes certificates that have expired ${between}`, async () => {
      const old = await createCa({ now: past });
      const expired = await createCertificate({
        ca: old,
        hosts: ["localhost"],
        now: past,
        days: 30,
      });
      const result = await tryHandshake(pair, expired, { ca: old.cert, hostname: "localhost" });
      // Deno's node:tls has one code for an unknown issuer and a time that is over.
      assertMatch(
        result,
        clientBackend === "deno" ? /expired/i : /^UNABLE_TO_VERIFY_LEAF_SIGNATURE|EXPIRED/,
      );
      const inTime = await createCertificate({ ca: old, hosts: ["localhost"] });
      assertEquals(await tryHandshake(pair, inTime, { ca: old.cert, hostname: "localhost" }), "ok");
    });
  }
}

for (const clientBackend of backends) {
  const pair = { server: "node", client: clientBackend } as const;
  const trust = { ca: ca.cert, hostname: "localhost" };

  Deno.test(`createCertificate makes client certificates that a server lets in, with a ${clientBackend} client`, async () => {
    const result = await tryHandshake(pair, { ...server, clientCa: ca.cert }, {
      ...trust,
      ...client,
    });
    assertEquals(result, "ok");
  });

  Deno.test(`createCertificate makes client certificates by purpose and authority, with a ${clientBackend} client`, async () => {
    const stranger = await createCertificate({ ca: other, client: true });
    for (const shown of [stranger, server, {}]) {
      const result = await tryHandshake(pair, { ...server, clientCa: ca.cert }, {
        ...trust,
        ...shown,
      });
      assertNotEquals(result, "ok");
    }
  });
}

Deno.test({
  name:
    `createCertificate makes certificates that openssl verifies by purpose, host and address${openssl}`,
  ignore: !hasOpenssl,
  async fn() {
    const files = { "ca.pem": ca.cert, "server.pem": server.cert, "client.pem": client.cert };
    await withFiles(files, async (directory) => {
      const cases: [args: string[], ok: boolean][] = [
        [["-purpose", "sslserver", "-verify_hostname", "localhost", "server.pem"], true],
        [["-purpose", "sslserver", "-verify_hostname", "a.example.com", "server.pem"], true],
        [["-purpose", "sslserver", "-verify_ip", "127.0.0.1", "server.pem"], true],
        [["-purpose", "sslserver", "-verify_ip", "::1", "server.pem"], true],
        [["-purpose", "sslclient", "client.pem"], true],
        [["-purpose", "sslserver", "-verify_hostname", "other.example", "server.pem"], false],
        [["-purpose", "sslserver", "-verify_ip", "127.0.0.2", "server.pem"], false],
        [["-purpose", "sslclient", "server.pem"], false],
        [["-purpose", "sslserver", "client.pem"], false],
      ];
      for (const [args, ok] of cases) {
        const { code, text } = await runOpenssl(
          directory,
          "verify",
          "-x509_strict",
          "-CAfile",
          "ca.pem",
          ...args,
        );
        assertEquals(code === 0, ok, `openssl verify ${args.join(" ")}: ${text}`);
      }
    });
  },
});

Deno.test({
  name:
    `createCa and createCertificate write what openssl reads: critical extensions, key identifiers, keys${openssl}`,
  ignore: !hasOpenssl,
  async fn() {
    await withFiles(
      { "ca.pem": ca.cert, "server.pem": server.cert, "server.key": server.key },
      async (directory) => {
        const authority =
          (await runOpenssl(directory, "x509", "-in", "ca.pem", "-noout", "-text")).text;
        assertMatch(authority, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
        assertMatch(authority, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
        const leaf =
          (await runOpenssl(directory, "x509", "-in", "server.pem", "-noout", "-text")).text;
        assertMatch(leaf, /Basic Constraints: critical\s+CA:FALSE/);
        assertMatch(leaf, /Key Usage: critical\s+Digital Signature/);
        assertMatch(leaf, /Extended Key Usage:\s+TLS Web Server Authentication/);
        const identifier = /Subject Key Identifier:\s+([0-9A-F:]+)/.exec(authority)?.[1] ??
          "missing";
        assertStringIncludes(leaf.slice(leaf.indexOf("Authority Key Identifier")), identifier);
        assertEquals(
          (await runOpenssl(directory, "pkey", "-in", "server.key", "-check", "-noout")).code,
          0,
        );
      },
    );
  },
});

Deno.test({
  name:
    `createCertificate signs below an intermediate authority and gives the chain with it${openssl}`,
  ignore: !hasOpenssl,
  fn: signBelowIntermediate,
});

async function signBelowIntermediate(): Promise<void> {
  const extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
  await withFiles({ "extensions.txt": extensions }, async (directory) => {
    const root = [
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      "/CN=Root",
      "-keyout",
      "root.key",
      "-out",
      "root.pem",
    ];
    await runOpenssl(directory, "req", "-x509", "-days", "100", ...root);
    for (
      const [name, kind] of [["rsa", ["rsa:2048"]], ["ec", [
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
      ]]] as const
    ) {
      const request = [
        "-newkey",
        ...kind,
        "-nodes",
        "-subj",
        "/CN=Middle",
        "-keyout",
        "middle.key",
        "-out",
        "middle.csr",
      ];
      await runOpenssl(directory, "req", ...request);
      const sign = [
        "-req",
        "-in",
        "middle.csr",
        "-CA",
        "root.pem",
        "-CAkey",
        "root.key",
        "-CAcreateserial",
        "-days",
        "50",
      ];
      await runOpenssl(
        directory,
        "x509",
        ...sign,
        "-extfile",
        "extensions.txt",
        "-out",
        "middle.pem",
      );
      const middle = {
        cert: await Deno.readTextFile(`${directory}/middle.pem`),
        key: await Deno.readTextFile(`${directory}/middle.key`),
      };
      const made = await createCertificate({ ca: middle, hosts: ["localhost"] });
      assertEquals(
        readCertificates(made.cert).map(({ subject }) => subject),
        ["CN=localhost", "CN=Middle"],
        name,
      );
      const trust = { ca: await Deno.readTextFile(`${directory}/root.pem`), hostname: "localhost" };
      for (const backend of backends) {
        assertEquals(
          await tryHandshake({ server: backend, client: backend }, made, trust),
          "ok",
          `${name} ${backend}`,
        );
      }
    }
  });
}
