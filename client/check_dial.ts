// checkDialOptions(): finds mistakes in options that show only when certificates are parsed or a backend is chosen.
import { ParleyError, TlsError } from "../errors.ts";
import { dial } from "../net/dial.ts";
import { checkUnixPath } from "../net/socket/unix_path.ts";
import { resolveClientTls } from "../tls/load.ts";
import type { ClientTlsOptions, ResolvedClientTls } from "../tls/handshake/options.ts";
import type { ResolvedConnectTransportOptions } from "./options.ts";

/** Ends each dialling of the check before it opens anything. */
const CHECKED = AbortSignal.abort("checked");

/**
 * Checks what {@linkcode resolveConnectOptions} cannot: the certificates and keys that the options hold as texts, and what the
 * chosen TLS backend or kind of socket would refuse. Nothing is opened, and no file is read: what stands in files may change. A
 * client that keeps dialling calls this once, before its first attempt.
 *
 * @throws {TypeError | RangeError} when an option is wrong
 * @throws {TlsError} `ERR_CERT_KEY_MISMATCH` or `ERR_CERT_UNTRUSTED` when `cert` and `key` do not fit
 * @throws {AddressError} `ERR_SOCKET_PATH_TOO_LONG`
 */
export async function checkDialOptions(options: ResolvedConnectTransportOptions): Promise<void> {
  const { given, target, noDelay, keepAlive } = options;
  if ("path" in target) checkUnixPath("connect", target.path);
  try {
    const tls = given.tls === undefined ? undefined : await resolveTexts(given.tls);
    // With this signal it checks what it is given, and then throws the signal's reason.
    await dial({ ...target, tls }, { signal: CHECKED, noDelay, keepAlive });
  } catch (error) {
    if (isMistake(error)) throw error;
  }
}

/** The TLS options without what stands in files; whether there is a certificate at all is kept. */
async function resolveTexts(tls: ClientTlsOptions): Promise<ResolvedClientTls> {
  const texts = { ...tls, certFile: undefined, keyFile: undefined, caFile: undefined, watch: undefined };
  const resolved = await resolveClientTls(texts as ClientTlsOptions);
  return "certFile" in tls && tls.certFile !== undefined ? { ...resolved, cert: "", key: "" } : resolved;
}

/** That a certificate has ended, or has not begun, may be the clock's fault: then a later attempt may succeed. */
function isMistake(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  if (error instanceof TlsError) return error.code !== "ERR_CERT_EXPIRED";
  return error instanceof ParleyError;
}
