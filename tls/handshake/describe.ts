// Describes certificates: to programs as PeerCertificate, to people in plain words.
import { createHash } from "node:crypto";
import type { PeerCertificate } from "../../net/transport/transport.ts";
import { parseCertificate, type ParsedCertificate } from "../certificate/certificate.ts";
import { parsePem } from "../certificate/pem.ts";

const dayMs = 86_400_000;

/**
 * Maps a certificate to a {@linkcode PeerCertificate}. Names are read from the DER bytes and
 * escaped, so that no name can pass for two; nothing is verified, because the handshake has done that.
 *
 * @param der The certificate; the result holds a copy.
 * @throws {TypeError} when the bytes are no X.509 certificate
 *
 * @example
 * ```ts
 * import { createCa, peerCertificate } from "@parley/parley/tls";
 * import { assertEquals } from "@std/assert";
 *
 * const ca = await createCa({ name: "Example CA" });
 * const der = Uint8Array.fromBase64(ca.cert.replace(/-----.*-----|\s/g, ""));
 * assertEquals(peerCertificate(der).subject, "CN=Example CA");
 * ```
 */
export function peerCertificate(der: Uint8Array): PeerCertificate {
  const parsed = parseCertificate(der);
  const raw = parsed.der.slice();
  return {
    subject: parsed.subject,
    issuer: parsed.issuer,
    subjectAltNames: parsed.subjectAltNames,
    serialNumber: parsed.serialNumber,
    fingerprint256: createHash("sha256").update(raw).digest("hex"),
    notBefore: parsed.notBefore,
    notAfter: parsed.notAfter,
    raw,
  };
}

/** What {@linkcode readCertificates} returns beside {@linkcode PeerCertificate}. */
export interface CertificateSummary extends PeerCertificate {
  /** True when it may issue others. */
  readonly isCa: boolean;
  /** Its allowed uses, such as `server` and `client`; `undefined` when it allows all. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** Kind of key, such as `EC P-256` or `RSA 2048`. */
  readonly keyType: string;
}

/**
 * Reads all certificates of a PEM text, in its order. It ignores keys and other text.
 *
 * @throws {TypeError} when there is none, or one cannot be read
 *
 * @example
 * ```ts
 * import { createCa, readCertificates } from "@parley/parley/tls";
 * import { assertEquals } from "@std/assert";
 *
 * const { cert } = await createCa();
 * assertEquals(readCertificates(cert).map((certificate) => certificate.isCa), [true]);
 * ```
 */
export function readCertificates(pem: string): CertificateSummary[] {
  const blocks = parsePem(pem, "the text").filter((block) => block.label === "CERTIFICATE");
  if (blocks.length === 0) {
    throw new TypeError(`Cannot read certificates: the text has no "CERTIFICATE" block`);
  }
  return blocks.map(({ der }) => {
    const { isCa, extendedKeyUsage, keyType } = parseCertificate(der);
    return { ...peerCertificate(der), isCa, extendedKeyUsage, keyType };
  });
}

/** Options of {@linkcode describeCertificate}. */
export interface DescribeCertificateOptions {
  /** The moment from which days are counted. @default {the current time} */
  now?: Date | undefined;
}

/**
 * Describes a certificate in plain words, with the days that it has left: several lines without a line feed
 * at the end.
 *
 * @param certificate One certificate as PEM (of several, the first) or as DER.
 * @throws {TypeError} when it cannot be read
 *
 * @example
 * ```ts
 * import { createCa, describeCertificate } from "@parley/parley/tls";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const ca = await createCa({ name: "Example CA", days: 30 });
 * assertStringIncludes(describeCertificate(ca.cert), "Subject:    CN=Example CA");
 * ```
 */
export function describeCertificate(
  certificate: string | Uint8Array,
  options: DescribeCertificateOptions = {},
): string {
  const der = typeof certificate === "string" ? firstCertificate(certificate) : certificate;
  const parsed = parseCertificate(der);
  const { fingerprint256 } = peerCertificate(der);
  const now = options.now ?? new Date();
  return [
    `Subject:    ${parsed.subject || "(empty)"}`,
    `Names:      ${parsed.subjectAltNames.map(quoteName).join(", ") || "(none)"}`,
    `Issuer:     ${parsed.issuer}${parsed.issuer === parsed.subject ? " (itself)" : ""}`,
    `Valid:      ${formatDate(parsed.notBefore)} to ${formatDate(parsed.notAfter)}`,
    `Days left:  ${describeDaysLeft(parsed, now)}`,
    `Use:        ${describeUse(parsed)}`,
    `Key:        ${parsed.keyType}`,
    `Serial:     ${parsed.serialNumber}`,
    `SHA-256:    ${fingerprint256}`,
  ].join("\n");
}

/** Returns the whole days until a certificate expires, rounded down; negative once it has. */
export function daysLeft(notAfter: Date, now: Date): number {
  return Math.floor((notAfter.getTime() - now.getTime()) / dayMs);
}

function describeDaysLeft(certificate: ParsedCertificate, now: Date): string {
  const days = daysLeft(certificate.notAfter, now);
  if (days < 0) {
    return `none, it expired ${-days === 1 ? "within the last day" : `${-days - 1} days ago`}`;
  }
  const starts = certificate.notBefore > now ? ", but it is not yet valid" : "";
  return `${days}${starts}`;
}

function describeUse(certificate: ParsedCertificate): string {
  if (certificate.isCa) return "issues certificates (CA)";
  const words = certificate.extendedKeyUsage?.map((usage) => usage === "any" ? "anything" : usage);
  return words?.join(", ") ?? "anything";
}

/** Quotes a name that contains the separator of the list. */
function quoteName(name: string): string {
  return name.includes(",") ? JSON.stringify(name) : name;
}

function formatDate(date: Date): string {
  return date.toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

function firstCertificate(pem: string): Uint8Array {
  const block = parsePem(pem, "the text").find(({ label }) => label === "CERTIFICATE");
  if (block === undefined) {
    throw new TypeError(`Cannot read a certificate: the text has no "CERTIFICATE" block`);
  }
  return block.der;
}
