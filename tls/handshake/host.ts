// Does a certificate speak for a host? The rules of RFC 9525: alternative names only, one label per wildcard.
import { TlsError } from "../../errors.ts";
import { withoutBrackets } from "../../net/address/brackets.ts";

/**
 * Checks that a certificate speaks for `hostname`, to say in plain words why a handshake failed, or to
 * catch it before one. Only subject alternative names count, never the common name; `*.example.com` matches
 * one label.
 *
 * @param certificate Its fields from the handshake; its `subjectAltNames` decide.
 * @param hostname A DNS name or an IP address, IPv6 with or without brackets.
 * @throws {TlsError} `ERR_CERT_WRONG_HOST` with the names that it does speak for
 *
 * @example
 * ```ts
 * import { checkHost } from "@parley/parley/tls";
 * import { TlsError } from "@parley/parley";
 * import { assertThrows } from "@std/assert";
 *
 * const certificate = { subjectAltNames: ["DNS:*.example.com", "IP Address:127.0.0.1"] };
 * checkHost(certificate, "api.example.com");
 * checkHost(certificate, "127.0.0.1");
 * assertThrows(() => checkHost(certificate, "a.b.example.com"), TlsError, "is not for that host");
 * ```
 */
export function checkHost(
  certificate: { readonly subjectAltNames: readonly string[] },
  hostname: string,
): void {
  if (matchesHost(certificate.subjectAltNames, hostname)) return;
  const names = certificate.subjectAltNames.filter((name) => /^(DNS|IP Address):/.test(name));
  const held = names.length === 0 ? "it names no host" : `it is for ${names.map(quote).join(", ")}`;
  throw new TlsError(
    "ERR_CERT_WRONG_HOST",
    `Cannot trust the certificate for ${quote(hostname)}: it is not for that host, ${held}`,
  );
}

/** Returns whether alternative names such as `DNS:localhost` cover `hostname`. */
export function matchesHost(subjectAltNames: readonly string[], hostname: string): boolean {
  const wanted = normalizeHost(hostname);
  if (wanted === undefined) return false;
  return subjectAltNames.some((name) => {
    if (wanted.isIp) {
      return name.startsWith("IP Address:") && normalizeIp(name.slice(11)) === wanted.host;
    }
    return name.startsWith("DNS:") && matchesName(name.slice(4).toLowerCase(), wanted.host);
  });
}

/** Returns whether `pattern`, a DNS name whose first label may be `*`, covers `host`. Both in lower case. */
export function matchesName(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  const dot = host.indexOf(".");
  // At least two labels must be spelt out: no certificate speaks for all of a top-level domain.
  return dot > 0 && pattern.indexOf(".", 2) > 0 && host.slice(dot) === pattern.slice(1);
}

/** A host in the one form in which it can be compared; `undefined` when it is none. */
export function normalizeHost(hostname: string): { host: string; isIp: boolean } | undefined {
  const ip = normalizeIp(withoutBrackets(hostname));
  if (ip !== undefined) return { host: ip, isIp: true };
  if (hostname.length > 254 || /[\s/\\?#@:%[\]*]/.test(hostname)) return undefined;
  // The URL parser turns international names into the form that certificates hold.
  const host = parseUrlHost(hostname)?.replace(/\.$/, "");
  return host === undefined || host === "" ? undefined : { host, isIp: false };
}

function normalizeIp(text: string): string | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return parseUrlHost(text);
  if (/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text)) return parseUrlHost(`[${text}]`)?.slice(1, -1);
  return undefined;
}

function parseUrlHost(host: string): string | undefined {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return undefined;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 256));
}
