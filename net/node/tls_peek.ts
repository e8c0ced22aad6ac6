// peekTls(): what a server shows in its TLS handshake, unverified.
import { unlessAborted } from "../../async/deadline.ts";
import tls from "node:tls";
import { peerCertificate } from "../../tls/handshake/describe.ts";
import { normalizeHost } from "../../tls/handshake/host.ts";
import { handshakeFault } from "../transport/faults.ts";
import { connectNode } from "./node_dial.ts";
import type { DialOptions, TcpTarget } from "../socket/tcp.ts";
import type { PeerCertificate } from "../transport/transport.ts";

/** Longest chain that is followed, in certificates. */
const MAX_CHAIN = 10;

/** What a server showed. */
export interface PeekedTls {
  /** Negotiated protocol, such as `TLSv1.3`. */
  readonly protocol: string | null;
  /** Its certificates, its own first, as it sent them. */
  readonly chain: readonly PeerCertificate[];
}

/**
 * Asks a server for its certificates and verifies nothing. It sends no data and reads none.
 *
 * @throws {AddressError} when no program listens there
 * @throws {TlsError} `ERR_TLS_HANDSHAKE` when it speaks no TLS that we speak
 */
export async function peekTls(
  target: TcpTarget | { readonly path: string },
  hostname: string,
  options: DialOptions,
): Promise<PeekedTls> {
  const { signal } = options;
  const link = await connectNode(target, options);
  const { promise, resolve, reject } = Promise.withResolvers<PeekedTls>();
  options.onStage?.("secure");
  const onEnd = () =>
    reject(handshakeFault(new Error("the server closed the connection"), hostname));
  link.onEnd = onEnd;
  try {
    const session = tls.connect({
      socket: link.socket,
      ...nameOptions(hostname),
      rejectUnauthorized: false,
    });
    session.once(
      "secureConnect",
      () => resolve({ protocol: session.getProtocol(), chain: chainOf(session) }),
    );
    session.on("error", (cause) => reject(handshakeFault(cause, hostname)));
    session.once("close", onEnd);
    link.watch();
    return await unlessAborted(promise, signal);
  } finally {
    link.destroy();
  }
}

/**
 * The names for which node asks: an address is compared, but never sent as a server name (RFC 6066,
 * section 3).
 */
export function nameOptions(hostname: string): { host: string; servername?: string | undefined } {
  const host = normalizeHost(hostname);
  return host === undefined || host.isIp
    ? { host: hostname }
    : { host: hostname, servername: host.host };
}

function chainOf(session: tls.TLSSocket): PeerCertificate[] {
  const chain: PeerCertificate[] = [];
  let shown: Partial<tls.DetailedPeerCertificate> | undefined = session.getPeerCertificate(true);
  while (shown?.raw !== undefined && chain.length < MAX_CHAIN) {
    const certificate = peerCertificate(shown.raw);
    // A root is its own issuer, and returned as its own issuer once more.
    if (certificate.fingerprint256 === chain.at(-1)?.fingerprint256) break;
    chain.push(certificate);
    shown = shown.issuerCertificate;
  }
  return chain;
}
