// inspectCertificate(): finds what is wrong with a certificate, before a peer does.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { X509Certificate } from "node:crypto";
import { TlsError } from "../errors.ts";
import { parseCertificate } from "./certificate/certificate.ts";
import { readKey } from "./check.ts";
import { type CertificateSummary, daysLeft, readCertificates } from "./handshake/describe.ts";
import { diagnoseCertificate } from "./handshake/diagnose.ts";
import { equalBytes } from "./certificate/der.ts";
import { checkHost } from "./handshake/host.ts";

/** Longest path to an authority that is searched, in certificates. */
const MAX_STEPS = 8;

/** What {@linkcode inspectCertificate} compares a certificate with. What is absent is not checked. */
export interface InspectCertificateOptions {
  /** Private key that should belong to it, PEM. */
  readonly key?: string | undefined;
  /**
   * Certificates of authorities, PEM: one of them should have signed it, directly or through others
   * in the text.
   */
  readonly ca?: string | undefined;
  /** Name or address that it should be for. */
  readonly hostname?: string | undefined;
  /** The moment at which it should be valid. @default {the current time} */
  readonly now?: Date | undefined;
}

const NAMES: OptionNames<InspectCertificateOptions> = {
  key: true,
  ca: true,
  hostname: true,
  now: true,
};

/** An answer; `"unknown"` where the platform cannot check a signature of that kind. */
export type CertificateVerdict = "yes" | "no" | "unknown";

/** What {@linkcode inspectCertificate} found. */
export interface CertificateReport {
  /** All certificates of the text; the first is the one that was checked. */
  readonly certificates: readonly [CertificateSummary, ...CertificateSummary[]];
  /** Whole days that it has left, rounded down; negative once it has expired. */
  readonly daysLeft: number;
  /** Whether the key belongs to it; `null` when none was given. */
  readonly keyMatches: boolean | null;
  /** Whether one of the authorities signed it; `null` when none was given. */
  readonly signed: CertificateVerdict | null;
  /** Whether it is for the host; `null` when none was given. */
  readonly forHost: boolean | null;
  /**
   * All faults, in the order in which a peer would report them: `ERR_CERT_EXPIRED` (or not yet valid),
   * `ERR_CERT_KEY_MISMATCH`, `ERR_CERT_UNTRUSTED`, `ERR_CERT_WRONG_HOST`.
   */
  readonly faults: readonly TlsError[];
}

/**
 * Checks the first certificate of a PEM text: its dates, and whether it fits a key, an authority and a host.
 *
 * @throws {TypeError} when there is no certificate, or a text cannot be read
 *
 * @example
 * ```ts
 * import { createCa, createCertificate, inspectCertificate } from "@parley/parley/tls";
 * import { assertEquals } from "@std/assert";
 *
 * const ca = await createCa();
 * const { cert, key } = await createCertificate({ ca, hosts: ["localhost"], days: 30 });
 * const report = await inspectCertificate(cert, { key, ca: ca.cert, hostname: "example.com" });
 * assertEquals([report.daysLeft, report.keyMatches, report.signed, report.forHost], [29, true, "yes", false]);
 * assertEquals(report.faults.map((fault) => fault.code), ["ERR_CERT_WRONG_HOST"]);
 * ```
 */
export async function inspectCertificate(
  pem: string,
  options: InspectCertificateOptions = {},
): Promise<CertificateReport> {
  checkOptionNames("Cannot inspect a certificate", options, NAMES);
  const { key, ca, hostname, now = new Date() } = options;
  const crypto = await import("node:crypto");
  const [own, ...others] = readCertificates(pem);
  if (own === undefined) throw new TypeError("Cannot read a certificate: the text has none");
  const open = (certificate: CertificateSummary) => new Link(certificate, crypto.X509Certificate);
  const faults: TlsError[] = [];
  if (own.notAfter < now || own.notBefore > now) {
    faults.push(diagnoseCertificate(own, { now: now.getTime() }));
  }
  const keyMatches = key === undefined
    ? null
    : open(own).x509.checkPrivateKey(readKey(crypto, { key, keyName: `"key"` }));
  if (keyMatches === false) {
    const text = `Cannot use the certificate ${
      quote(own.subject)
    } with the key: it was made with another one`;
    faults.push(new TlsError("ERR_CERT_KEY_MISMATCH", text));
  }
  const signed = ca === undefined
    ? null
    : isSigned(open(own), others.map(open), readCertificates(ca).map(open), now);
  if (signed === "no") {
    const text =
      `Cannot trust the certificate ${
        quote(own.subject)
      }: none of the valid authorities signed it: ` +
      `it was issued by ${quote(own.issuer)}`;
    faults.push(new TlsError("ERR_CERT_UNTRUSTED", text));
  }
  const wrongHost = hostname === undefined ? null : hostFault(own, hostname);
  if (wrongHost !== null) faults.push(wrongHost);
  return {
    certificates: [own, ...others],
    daysLeft: daysLeft(own.notAfter, now),
    keyMatches,
    signed,
    forHost: hostname === undefined ? null : wrongHost === null,
    faults,
  };
}

/** A certificate on the path to an authority. */
class Link {
  readonly summary: CertificateSummary;
  readonly x509: X509Certificate;
  readonly subjectDer: Uint8Array;
  readonly issuerDer: Uint8Array;

  constructor(summary: CertificateSummary, Certificate: typeof X509Certificate) {
    this.summary = summary;
    this.x509 = new Certificate(summary.raw as unknown as Buffer);
    const { subjectDer, issuerDer } = parseCertificate(summary.raw);
    this.subjectDer = subjectDer;
    this.issuerDer = issuerDer;
  }

  isSignedBy(issuer: Link): CertificateVerdict {
    if (!issuer.summary.isCa || !equalBytes(this.issuerDer, issuer.subjectDer)) return "no";
    try {
      return this.x509.verify(issuer.x509.publicKey) ? "yes" : "no";
    } catch {
      return "unknown";
    }
  }
}

/** Searches a path from a certificate over others of its text to a valid authority. */
function isSigned(
  own: Link,
  others: readonly Link[],
  authorities: readonly Link[],
  now: Date,
): CertificateVerdict {
  const valid = ({ summary }: Link) => summary.notBefore <= now && now <= summary.notAfter;
  const trusted = authorities.filter(valid);
  let here = own;
  let doubt = false;
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    if (trusted.some(({ summary }) => equalBytes(summary.raw, here.summary.raw))) {
      return doubt ? "unknown" : "yes";
    }
    const verdicts = trusted.map((authority) => here.isSignedBy(authority));
    if (verdicts.includes("yes")) return doubt ? "unknown" : "yes";
    if (verdicts.includes("unknown")) return "unknown";
    const next = others.filter(valid).map((link) => ({ link, verdict: here.isSignedBy(link) }))
      .find(({ link, verdict }) => link !== here && verdict !== "no");
    if (next === undefined) return "no";
    doubt ||= next.verdict === "unknown";
    here = next.link;
  }
  return "no";
}

function hostFault(certificate: CertificateSummary, hostname: string): TlsError | null {
  try {
    checkHost(certificate, hostname);
    return null;
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 256));
}
