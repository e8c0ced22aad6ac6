// checkDialOptions(): finds mistakes in options that show only when certificates are parsed or a
// backend is chosen.
import { ParleyError, TlsError } from "../errors.ts";
import { dial } from "../net/dial.ts";
import { checkUnixPath } from "../net/socket/unix_path.ts";
import { resolveClientTls } from "../tls/load.ts";
import type { ClientTlsOptions, ResolvedClientTls } from "../tls/handshake/options.ts";
import type { ResolvedConnectTransportOptions } from "./options.ts";

/** Ends the dial of the check before it opens anything. */
const CHECKED = AbortSignal.abort("checked");

/**
 * Checks what {@linkcode resolveConnectOptions} cannot: certificates and keys that the options hold
 * as texts, and options that the chosen TLS backend or kind of socket would refuse. It opens
 * nothing and reads no file, because files may change. A client that dials again and again calls
 * this once, before its first attempt.
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
    // With this signal `dial` checks its arguments, and then throws the signal's reason.
    await dial({ ...target, tls }, { signal: CHECKED, noDelay, keepAlive });
  } catch (error) {
    if (isMistake(error)) throw error;
  }
}

/** The TLS options without the contents of files. It keeps whether there is a certificate. */
async function resolveTexts(tls: ClientTlsOptions): Promise<ResolvedClientTls> {
  const texts = {
    ...tls,
    certFile: undefined,
    keyFile: undefined,
    caFile: undefined,
    watch: undefined,
  };
  const resolved = await resolveClientTls(texts as ClientTlsOptions);
  return "certFile" in tls && tls.certFile !== undefined
    ? { ...resolved, cert: "", key: "" }
    : resolved;
}

/**
 * Whether no later attempt can succeed. A certificate that is not valid at this time may be: the
 * clock may be wrong.
 */
function isMistake(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  if (error instanceof TlsError) return error.code !== "ERR_CERT_EXPIRED";
  return error instanceof ParleyError;
}
