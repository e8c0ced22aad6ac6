// Why a handshake failed over a certificate: Deno's node:tls has one code for all causes, the certificate
// tells them apart.
import { TlsError } from "../../errors.ts";
import type { PeerCertificate } from "../../net/transport/transport.ts";
import { checkHost } from "./host.ts";

/** What {@linkcode diagnoseCertificate} compares a certificate with. */
export interface DiagnoseOptions {
  /**
   * The name or address that it should be for; absent when no name matters, as for a client's certificate.
   */
  readonly hostname?: string | undefined;
  /** Current time, in milliseconds since 1970. @default {Date.now()} */
  readonly now?: number | undefined;
  /** The error of the platform. */
  readonly cause?: unknown;
}

/**
 * Returns why a certificate that the platform refused is not trusted: its time, its host, or else its issuer.
 *
 * @returns a `TlsError` of `ERR_CERT_EXPIRED` (or not yet valid), `ERR_CERT_WRONG_HOST` or
 * `ERR_CERT_UNTRUSTED`
 */
export function diagnoseCertificate(
  certificate: PeerCertificate,
  options: DiagnoseOptions = {},
): TlsError {
  const { hostname, now = Date.now(), cause } = options;
  const { subject, issuer, notBefore, notAfter } = certificate;
  const shown = JSON.stringify(subject.slice(0, 256));
  if (notAfter.getTime() < now) {
    const text = `Cannot trust the certificate ${shown}: it expired at ${notAfter.toISOString()}`;
    return new TlsError("ERR_CERT_EXPIRED", text, { cause });
  }
  if (notBefore.getTime() > now) {
    const text =
      `Cannot trust the certificate ${shown}: it is not valid before ${notBefore.toISOString()}`;
    return new TlsError("ERR_CERT_EXPIRED", text, { cause });
  }
  try {
    if (hostname !== undefined) checkHost(certificate, hostname);
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
  const by = subject === issuer ? "itself" : JSON.stringify(issuer.slice(0, 256));
  const text =
    `Cannot trust the certificate ${shown}: its issuer is not trusted: it was issued by ${by}`;
  return new TlsError("ERR_CERT_UNTRUSTED", text, { cause });
}
