// Pins: certificates that are trusted by themselves, whatever their issuer and names.
import { TlsError } from "../../errors.ts";
import type { PeerCertificate } from "../../net/transport/transport.ts";
import { diagnoseCertificate } from "./diagnose.ts";

/**
 * Checks that a certificate is pinned, and that it is currently valid. Names and issuers do not matter.
 *
 * @throws {TlsError} `ERR_CERT_UNTRUSTED` with the fingerprint that came, `ERR_CERT_EXPIRED`
 */
export function checkPin(
  certificate: PeerCertificate | null,
  pins: ReadonlySet<string>,
): PeerCertificate {
  if (certificate === null) {
    throw new TlsError(
      "ERR_CERT_UNTRUSTED",
      "Cannot trust the peer: it showed no certificate: one is pinned",
    );
  }
  const { fingerprint256, subject, notBefore, notAfter } = certificate;
  if (!pins.has(fingerprint256)) {
    throw new TlsError(
      "ERR_CERT_UNTRUSTED",
      `Cannot trust the certificate ${
        JSON.stringify(subject.slice(0, 256))
      }: it is not the one that "pin" names: ` +
        `its SHA-256 fingerprint is ${fingerprint256}`,
    );
  }
  const now = Date.now();
  if (notAfter.getTime() < now || notBefore.getTime() > now) {
    throw diagnoseCertificate(certificate, { now });
  }
  return certificate;
}

/**
 * Returns the SHA-256 fingerprints of pins in the form in which they are compared: lower-case hex
 * without colons.
 *
 * @param pins Fingerprints as they were given, and certificates as DER bytes.
 */
export async function pinFingerprints(
  pins: readonly (string | Uint8Array<ArrayBuffer>)[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const pin of pins) {
    if (typeof pin === "string") found.add(pin.replaceAll(":", "").toLowerCase());
    else found.add(new Uint8Array(await crypto.subtle.digest("SHA-256", pin)).toHex());
  }
  return found;
}
