// fetchCertificates(): fetches the certificates that a server shows, to look at and not to trust.
import { withDeadline } from "../async/deadline.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { TimeoutError } from "../errors.ts";
import { checkDurationMs } from "../options/check.ts";
import { withoutBrackets } from "../net/address/brackets.ts";
import { hungAt } from "../net/socket/stages.ts";
import type { DialStage } from "../net/socket/tcp.ts";
import { peekTls } from "../net/node/tls_peek.ts";
import { formatPem } from "./certificate/pem.ts";

/** Options of {@linkcode fetchCertificates}. */
export interface FetchCertificatesOptions {
  /** Name or address of the server. @default {"127.0.0.1"} */
  readonly hostname?: string | undefined;
  /** Its port. */
  readonly port?: number | undefined;
  /** Path of its unix socket instead. */
  readonly path?: string | undefined;
  /** Name that the server is asked for. @default {the hostname; "localhost" for a unix socket} */
  readonly serverName?: string | undefined;
  /** Longest time in ms for all of it. @default {10000} */
  readonly timeoutMs?: number | undefined;
  /** Abort gives up; the call rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

const NAMES: OptionNames<FetchCertificatesOptions & { readonly transport?: string | undefined }> = {
  hostname: true,
  port: true,
  path: true,
  serverName: true,
  timeoutMs: true,
  signal: true,
  transport: true,
};

/** What a server showed. */
export interface FetchedCertificates {
  /** Its certificates, PEM, its own first. Empty when it showed none. */
  readonly pem: string;
  /** Negotiated protocol, such as `TLSv1.3`; `null` where the platform does not say. */
  readonly protocol: string | null;
}

/**
 * Asks a server for its certificates, by a TLS handshake that ends there. Nothing is verified and
 * nothing is sent: look at them with `inspectCertificate`, and connect with `connect`, which
 * verifies.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {AddressError} `ERR_CONNECT_REFUSED` when no program listens there, `ERR_ADDRESS_INVALID`
 * when it cannot be reached
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it took longer than `timeoutMs`
 * @throws {TlsError} `ERR_TLS_HANDSHAKE` when it speaks no TLS
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley";
 * import { createCa, createCertificate, fetchCertificates, inspectCertificate } from "@parley/parley/tls";
 * import { assertEquals } from "@std/assert";
 *
 * const ca = await createCa();
 * const tls = await createCertificate({ ca, hosts: ["localhost"] });
 * await using server = serve({ tls }, () => {});
 * await server.ready;
 *
 * const { pem } = await fetchCertificates({ ...server.addr, serverName: "localhost" });
 * const report = await inspectCertificate(pem, { ca: ca.cert, hostname: "localhost" });
 * assertEquals(report.faults, []);
 * ```
 */
export async function fetchCertificates(
  options: FetchCertificatesOptions & { readonly transport?: string | undefined },
): Promise<FetchedCertificates> {
  checkOptionNames("Cannot fetch certificates", options, NAMES);
  const { port, path, timeoutMs = 10_000, signal } = options;
  const hostname = withoutBrackets(options.hostname ?? "127.0.0.1");
  checkDurationMs("Cannot fetch certificates", "timeoutMs", timeoutMs);
  if ((port === undefined) === (path === undefined)) {
    throw new TypeError('Cannot fetch certificates: one of "port" and "path" must be given');
  }
  const where = path === undefined ? `${hostname}:${port}` : path;
  const target = path === undefined ? { hostname, port: port ?? 0 } : { path };
  const name = options.serverName ?? (path === undefined ? hostname : "localhost");
  let stage: DialStage = "resolve";
  const late = () => {
    const text = `Cannot fetch certificates from ${JSON.stringify(where)} within ${timeoutMs} ms: ${
      hungAt(stage)
    }`;
    return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
  };
  const { chain, protocol } = await withDeadline(
    { signal, timeoutMs, late },
    (signal) => peekTls(target, name, { signal, onStage: (next) => stage = next }),
  );
  return { pem: chain.map(({ raw }) => formatPem("CERTIFICATE", raw)).join(""), protocol };
}
