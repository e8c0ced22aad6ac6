// Tests of host names and addresses against those of a certificate.
import { assertEquals, assertThrows } from "@std/assert";
import { TlsError } from "../../../errors.ts";
import type { PeerCertificate } from "../../../net/transport/transport.ts";
import { diagnoseCertificate } from "../../../tls/handshake/diagnose.ts";
import { checkHost } from "../../../tls/mod.ts";

const names = [
  "DNS:Example.com",
  "DNS:*.example.com",
  "IP Address:127.0.0.1",
  "IP Address:2001:db8::1",
  "URI:http://uri.example",
];

for (
  const host of [
    "example.com",
    "EXAMPLE.COM",
    "example.com.",
    "api.example.com",
    "127.0.0.1",
    "2001:db8::1",
    "2001:DB8:0:0:0:0:0:1",
    "[2001:db8::1]",
  ]
) {
  Deno.test(`checkHost accepts ${host}`, () => checkHost({ subjectAltNames: names }, host));
}

for (
  const host of [
    "",
    "a.b.example.com",
    ".example.com",
    "xexample.com",
    "example.com.evil.example",
    "127.0.0.2",
    "2001:db8::2",
    "[2001:db8::2]",
    "[example.com]",
    "[127.0.0.1]",
    "uri.example",
    "*.example.com",
    "example.com:443",
    "example.com/a",
    "a b",
  ]
) {
  Deno.test(`checkHost refuses ${JSON.stringify(host)} with ERR_CERT_WRONG_HOST`, () => {
    const error = assertThrows(() => checkHost({ subjectAltNames: names }, host), TlsError);
    assertEquals(error.code, "ERR_CERT_WRONG_HOST");
  });
}

Deno.test("checkHost takes no name out of another, and no wildcard over a top-level domain", () => {
  for (
    const name of [
      "DNS:a.example, DNS:victim.example",
      "DNS:*.example",
      "DNS:*",
      "DNS:v*.example",
      "IP Address:victim.example",
    ]
  ) {
    assertThrows(() => checkHost({ subjectAltNames: [name] }, "victim.example"), TlsError);
  }
  assertThrows(() => checkHost({ subjectAltNames: ["DNS:127.0.0.1"] }, "127.0.0.1"), TlsError);
});

Deno.test("checkHost tells what was wanted and what there is", () => {
  assertThrows(
    () => checkHost({ subjectAltNames: ["DNS:a.example"] }, "b.example"),
    TlsError,
    `Cannot trust the certificate for "b.example": it is not for that host, it is for "DNS:a.example"`,
  );
  assertThrows(() => checkHost({ subjectAltNames: [] }, "b.example"), TlsError, "it names no host");
});

Deno.test("diagnoseCertificate tells time from host from issuer", () => {
  const certificate: PeerCertificate = {
    subject: "CN=a",
    issuer: "CN=b",
    subjectAltNames: ["DNS:a.example"],
    serialNumber: "01",
    fingerprint256: "",
    notBefore: new Date(1000),
    notAfter: new Date(2000),
    raw: new Uint8Array(),
  };
  const cause = new Error("unable to verify");
  const cases: [now: number, hostname: string | undefined, code: string][] = [
    [999, "a.example", "ERR_CERT_EXPIRED"],
    [1000, "a.example", "ERR_CERT_UNTRUSTED"],
    [2000, "a.example", "ERR_CERT_UNTRUSTED"],
    [2001, "a.example", "ERR_CERT_EXPIRED"],
    [1500, "b.example", "ERR_CERT_WRONG_HOST"],
    [1500, undefined, "ERR_CERT_UNTRUSTED"],
  ];
  for (const [now, hostname, code] of cases) {
    assertEquals(
      diagnoseCertificate(certificate, { now, hostname, cause }).code,
      code,
      `${now} ${hostname}`,
    );
  }
  assertEquals(diagnoseCertificate(certificate, { now: 1500, cause }).cause, cause);
});
