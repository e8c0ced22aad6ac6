// listen(): listens on an address, by the backend that fits.
import type { Resolved } from "../options/resolved.ts";
import type { CredentialSource, TlsBackend, TlsVersion } from "../tls/handshake/options.ts";
import { withoutBrackets } from "./address/brackets.ts";
import { listenFirst } from "./socket/resolve.ts";
import { type ListenOptions, listenTcp, type TcpListenTarget } from "./socket/tcp.ts";
import { listenTlsNative } from "./socket/tls_native.ts";
import { listenNode, listenTlsNode, listenTlsNodeUnix } from "./node/node_listener.ts";
import type { Listener } from "./transport/transport.ts";
import { listenUnix } from "./socket/unix.ts";

export type { ListenOptions } from "./socket/tcp.ts";

/** TLS of a listener. */
export interface ListenTls {
  /** Current certificates. The caller closes them, after the listener. */
  readonly credentials: CredentialSource;
  /** Lowest version spoken. @default {"TLSv1.2"} */
  readonly minVersion?: TlsVersion | undefined;
  /** Highest version spoken. @default {"TLSv1.3"} */
  readonly maxVersion?: TlsVersion | undefined;
  /** Application protocols (ALPN), in order of preference. If set, a client that shares none is refused. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Which implementation carries the sessions. @default {"auto"} */
  readonly backend?: TlsBackend | undefined;
}

/** Where to listen. */
export type ListenTarget =
  | {
    /**
     * Name or IP address; a name stands for the first of its addresses, IPv4 before IPv6.
     * @default {"127.0.0.1"} never all interfaces by accident
     */
    readonly hostname?: string | undefined;
    /** 0 picks a free port. */
    readonly port: number;
    /** Lets several listeners share the port (Linux). @default {false} */
    readonly reusePort?: boolean | undefined;
    /** Speak TLS. */
    readonly tls?: ListenTls | undefined;
  }
  | {
    /** Path of a unix socket, at most 107 bytes. */
    readonly path: string;
    /** Permission bits of the socket's file. @default {those that the umask of the process leaves} */
    readonly mode?: number | undefined;
    /** Speak TLS over it. */
    readonly tls?: ListenTls | undefined;
  };

/**
 * Listens. `backend: "auto"` is `node:tls`; docs/decisions/0010-tls-backend.md says why.
 *
 * @throws {TypeError} when the chosen TLS backend cannot do what is wanted; nothing was opened then
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`, `ERR_SOCKET_PATH_TOO_LONG`
 *
 * @example
 * ```ts
 * import { listen } from "./listen.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = await listen({ port: 0 });
 * assertEquals(listener.addr.transport, "tcp");
 * const waiting = listener.accept();
 * listener.close();
 * assertEquals(await waiting, null);
 * ```
 */
export async function listen(target: ListenTarget, options: ListenOptions = {}): Promise<Listener> {
  const tls = target.tls && resolve(target.tls);
  if ("path" in target) {
    if (tls === undefined) return await listenUnix(target, options);
    if (tls.backend === "deno") throw lacks("has no TLS over unix sockets", "path");
    return await listenTlsNodeUnix(target, tls, options);
  }
  const { port, reusePort } = target;
  const hostname = withoutBrackets(target.hostname ?? "127.0.0.1");
  return await listenFirst(
    { hostname, port },
    (host) => listenAt({ hostname: host, port, reusePort }, tls, options),
  );
}

/** Listens on one address. */
async function listenAt(
  where: TcpListenTarget,
  tls: Resolved<ListenTls> | undefined,
  options: ListenOptions,
): Promise<Listener> {
  if (tls === undefined) {
    return options.canReset === true ? await listenNode(where, options) : listenTcp(where, options);
  }
  if (tls.backend !== "deno") return await listenTlsNode(where, tls, options);
  checkNative(tls, options);
  const { cert, key } = tls.credentials.current;
  return listenTlsNative(where, { cert, key, alpnProtocols: tls.alpnProtocols }, options);
}

function resolve(tls: ListenTls): Resolved<ListenTls> {
  const {
    credentials,
    minVersion = "TLSv1.2",
    maxVersion = "TLSv1.3",
    alpnProtocols = [],
    backend = "auto",
  } = tls;
  return { credentials, minVersion, maxVersion, alpnProtocols, backend };
}

/** Refuses options that native TLS would ignore. */
function checkNative(tls: Resolved<ListenTls>, options: ListenOptions): void {
  const { clientCa, pins, sni } = tls.credentials.current;
  if (clientCa.length > 0 || pins !== undefined) {
    throw lacks("cannot ask for client certificates", "clientCa");
  }
  if (sni.size > 0) throw lacks("knows one certificate only", "sni");
  if (tls.minVersion !== "TLSv1.2") throw lacks("speaks TLS 1.2 and 1.3, both", "minVersion");
  if (tls.maxVersion !== "TLSv1.3") throw lacks("speaks TLS 1.2 and 1.3, both", "maxVersion");
  if (options.keepAlive) throw lacks("cannot tune its sockets", "keepAlive");
  if (options.proxySources !== undefined) {
    throw lacks("cannot read a header before its handshake", "proxySources");
  }
}

function lacks(what: string, option: string): TypeError {
  return new TypeError(
    `Cannot listen: the "deno" TLS backend ${what} ("${option}"): use "auto" or "node"`,
  );
}
