// TLS by Deno itself: fast with small messages, and simple; options that it lacks are refused
// before anything is opened.
import { watchWait } from "../../async/wait.ts";
import type { ResolvedClientTls } from "../../tls/handshake/options.ts";
import {
  alpnMismatch,
  dialFault,
  handshakeFault,
  isSelf,
  listenFault,
  selfConnected,
} from "../transport/faults.ts";
import { unlessAborted } from "../../async/deadline.ts";
import { DenoListener } from "./socket_listener.ts";
import { closeQuietly, SocketTransport } from "./socket_transport.ts";
import {
  checkReusePort,
  connectTcp,
  DEFAULT_BACKLOG,
  type DialOptions,
  type ListenOptions,
  type TcpListenTarget,
  type TcpTarget,
  toAddress,
} from "./tcp.ts";
import type { Address, Listener, TlsInfo, Transport } from "../transport/transport.ts";

/** The one certificate that a native listener has. */
export interface NativeListenTls {
  /** Certificate chain, PEM, leaf first. */
  readonly cert: string;
  /** Private key, PEM. */
  readonly key: string;
  /**
   * Application protocols, in order of preference. If there are any, a client that shares none is
   * refused.
   */
  readonly alpnProtocols: readonly string[];
}

/**
 * Dials with native TLS. Without a client certificate the socket's options are set, and dialling
 * can be aborted at any time. With one, Deno offers neither: the socket has no no-delay, and an
 * abort frees it once Deno has connected.
 *
 * An abort during the handshake rejects at once, but Deno keeps the descriptor until the peer leaves.
 */
export async function dialTlsNative(
  target: TcpTarget,
  tls: ResolvedClientTls,
  options: DialOptions,
): Promise<Transport> {
  const conn = tls.cert === undefined
    ? await startTls(target, tls, options)
    : await connectWithCertificate(target, tls, options);
  options.onStage?.("secure");
  return await shakeHands(conn, tls.alpnProtocols, {
    signal: options.signal,
    hostname: tls.serverName ?? target.hostname,
  });
}

/**
 * Listens with native TLS. Nagle's algorithm delays small writes of its connections: Deno has no
 * way to turn that off.
 */
export function listenTlsNative(
  target: TcpListenTarget,
  tls: NativeListenTls,
  options: ListenOptions,
): Listener {
  const { hostname, port, reusePort = false } = target;
  const { cert, key, alpnProtocols } = tls;
  const alpn = alpnProtocols.length === 0 ? {} : { alpnProtocols: [...alpnProtocols] };
  checkReusePort(reusePort);
  let listener: Deno.TlsListener;
  try {
    const tcpBacklog = options.backlog ?? DEFAULT_BACKLOG;
    listener = Deno.listenTls({ hostname, port, reusePort, tcpBacklog, cert, key, ...alpn });
  } catch (cause) {
    throw listenFault({ transport: "tcp", hostname, port }, cause);
  }
  return new DenoListener(listener, {
    addr: toAddress(listener.addr as Deno.NetAddr),
    describe: (conn: Deno.TlsConn) => ({
      localAddr: toAddress(conn.localAddr),
      remoteAddr: toAddress(conn.remoteAddr),
    }),
    open: (conn, signal) => shakeHands(conn, alpnProtocols, { signal }),
  });
}

async function startTls(
  target: TcpTarget,
  tls: ResolvedClientTls,
  options: DialOptions,
): Promise<Deno.TlsConn> {
  const socket = await connectTcp(target, options);
  try {
    return await Deno.startTls(socket, {
      hostname: tls.serverName ?? target.hostname,
      ...clientOptions(tls),
    });
  } catch (cause) {
    closeQuietly(socket);
    throw handshakeFault(cause, tls.serverName ?? target.hostname);
  }
}

/** Connects by name, which the platform resolves: the certificate must be checked against that name. */
async function connectWithCertificate(
  { hostname, port }: TcpTarget,
  tls: ResolvedClientTls,
  { signal, onStage }: DialOptions,
): Promise<Deno.TlsConn> {
  const address: Address = { transport: "tcp", hostname, port };
  signal.throwIfAborted();
  onStage?.("connect");
  const { cert = "", key = "" } = tls;
  let conn: Deno.TlsConn;
  try {
    const connecting = Deno.connectTls({ hostname, port, ...clientOptions(tls), cert, key });
    conn = await unlessAborted(connecting, signal, closeQuietly);
  } catch (cause) {
    signal.throwIfAborted();
    throw dialFault(address, cause);
  }
  if (!isSelf(toAddress(conn.localAddr), toAddress(conn.remoteAddr))) return conn;
  closeQuietly(conn);
  throw selfConnected(address);
}

function clientOptions(
  { caCerts, alpnProtocols }: ResolvedClientTls,
): { caCerts?: string[]; alpnProtocols?: string[] } {
  return {
    ...caCerts !== undefined && { caCerts: [...caCerts] },
    ...alpnProtocols.length > 0 && { alpnProtocols: [...alpnProtocols] },
  };
}

/** Finishes the handshake; the connection is closed when it fails or is aborted. */
async function shakeHands(
  conn: Deno.TlsConn,
  alpnProtocols: readonly string[],
  { signal, hostname }: { signal: AbortSignal; hostname?: string | undefined },
): Promise<Transport> {
  const stop = watchWait({ signal }, { cancel: () => closeQuietly(conn) });
  try {
    signal.throwIfAborted();
    const { alpnProtocol } = await conn.handshake();
    signal.throwIfAborted();
    if (alpnProtocols.length > 0 && alpnProtocol === null) throw alpnMismatch(alpnProtocols);
    const tls: TlsInfo = { backend: "deno", protocol: null, alpnProtocol, peerCertificate: null };
    return new SocketTransport(conn, {
      localAddr: toAddress(conn.localAddr),
      remoteAddr: toAddress(conn.remoteAddr),
      tls,
    });
  } catch (cause) {
    closeQuietly(conn);
    signal.throwIfAborted();
    throw handshakeFault(cause, hostname);
  } finally {
    stop();
  }
}
