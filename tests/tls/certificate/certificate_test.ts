// Tests of certificates as text: parsing, description, days left.
import { assert, assertEquals, assertThrows } from "@std/assert";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { parseCertificate } from "../../../tls/certificate/certificate.ts";
import { describeCertificate, peerCertificate, readCertificates } from "../../../tls/mod.ts";

/** A certificate of names that try to pass for others. */
async function makeHostile(): Promise<Uint8Array> {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: new x509.Name([
      { CN: [{ utf8String: "agent\nO=Admin,CN=root" }] },
      { O: [{ utf8String: 'É\u0000+"x\u2028' }] },
      { OU: [{ utf8String: " a" }, { utf8String: "#b" }] },
      { "1.2.3.4": [{ utf8String: "odd" }] },
    ]),
    keys,
    serialNumber: "f0ff112233445566778899aabbccddee",
    notBefore: new Date("2026-01-01T00:00:00Z"),
    notAfter: new Date("2050-01-01T00:00:00Z"),
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "dns", value: "a.example, DNS:victim.example" },
        { type: "url", value: "http://a/, DNS:victim.example" },
        { type: "email", value: "a@b.example\r\nDNS:victim.example" },
        { type: "ip", value: "192.0.2.1" },
        { type: "ip", value: "2001:db8:0:0:0:0:0:1" },
        { type: "dn", value: "CN=a" },
      ]),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

const hostile = await makeHostile();

Deno.test("parseCertificate escapes names so that none can pass for two", () => {
  const { subject, issuer, subjectAltNames } = parseCertificate(hostile);
  assertEquals(
    subject,
    `CN=agent\\0AO=Admin\\,CN=root,O=É\\00\\+\\"x\\E2\\80\\A8,OU=\\ a+OU=\\#b,1.2.3.4=odd`,
  );
  assertEquals(issuer, subject);
  assertEquals(subjectAltNames, [
    "DNS:a.example, DNS:victim.example",
    "URI:http://a/, DNS:victim.example",
    "email:a@b.example\\0D\\0ADNS:victim.example",
    "IP Address:192.0.2.1",
    "IP Address:2001:db8::1",
    "DirName:CN=a",
  ]);
});

Deno.test("parseCertificate reads the serial number, both forms of time and the kind of key", () => {
  const parsed = parseCertificate(hostile);
  assertEquals(parsed.serialNumber, "F0FF112233445566778899AABBCCDDEE");
  assertEquals(parsed.notBefore, new Date("2026-01-01T00:00:00Z"));
  assertEquals(parsed.notAfter, new Date("2050-01-01T00:00:00Z"));
  assertEquals(parsed.keyType, "EC P-256");
  assertEquals(parsed.isCa, false);
  assertEquals(parsed.extendedKeyUsage, undefined);
});

Deno.test("parseCertificate refuses a certificate that is cut at any byte", () => {
  for (let length = 0; length < hostile.length; length++) {
    assertThrows(
      () => parseCertificate(hostile.subarray(0, length)),
      TypeError,
      "Cannot read a certificate",
    );
  }
});

Deno.test("parseCertificate throws nothing but TypeError for damaged certificates, and ends", () => {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  for (let round = 0; round < 5000; round++) {
    const damaged = hostile.slice();
    for (let i = random(4); i >= 0; i--) damaged[random(damaged.length)] = random(256);
    try {
      parseCertificate(damaged);
    } catch (error) {
      assert(error instanceof TypeError, `seed ${seed}, round ${round}: ${error}`);
    }
  }
});

Deno.test("peerCertificate maps the fields, with a fingerprint over a copy of the bytes", async () => {
  const mutable = hostile.slice();
  const certificate = peerCertificate(mutable);
  mutable.fill(0);
  assertEquals(certificate.raw, hostile);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", hostile.slice()));
  assertEquals(certificate.fingerprint256, digest.toHex());
  assertEquals(certificate.subjectAltNames.length, 6);
});

Deno.test("describeCertificate tells the days left at each side of a day, before and after the time", () => {
  const cases: [now: string, text: string][] = [
    ["2049-12-22T00:00:00Z", "Days left:  10"],
    ["2049-12-22T00:00:01Z", "Days left:  9"],
    ["2049-12-31T12:00:00Z", "Days left:  0"],
    ["2050-01-01T12:00:00Z", "Days left:  none, it expired within the last day"],
    ["2050-01-03T12:00:00Z", "Days left:  none, it expired 2 days ago"],
    ["2025-12-31T00:00:00Z", "Days left:  8767, but it is not yet valid"],
  ];
  for (const [now, text] of cases) {
    const lines = describeCertificate(hostile, { now: new Date(now) }).split("\n");
    assertEquals(lines.find((line) => line.startsWith("Days left")), text, now);
    assertEquals(lines.length, 9);
  }
});

Deno.test("describeCertificate and readCertificates refuse a text without a certificate", () => {
  assertThrows(() => describeCertificate("hello"), TypeError, `no "CERTIFICATE" block`);
  assertThrows(() => readCertificates("hello"), TypeError, `no "CERTIFICATE" block`);
});
