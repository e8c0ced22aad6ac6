// TCP: dialling and listening by Deno's own sockets.
import { dialFault, isSelf, listenFault, selfConnected } from "../transport/faults.ts";
import { unlessAborted } from "../../async/deadline.ts";
import { addressesToDial, dialFirst, isAddress } from "./resolve.ts";
import type { ProxySources } from "../transport/proxy_sources.ts";
import { closeQuietly, type SocketDescription, SocketTransport } from "./socket_transport.ts";
import { DenoListener } from "./socket_listener.ts";
import type {
  Address,
  KeepAlive,
  Listener,
  SocketTuning,
  Transport,
} from "../transport/transport.ts";
import { checkTuning, refuseDelay } from "../transport/tuning.ts";

/** A TCP address to dial or to listen on. */
export interface TcpTarget {
  /** Name or IP address. */
  readonly hostname: string;
  /** 0 to 65535; for a listener 0 picks a free port. */
  readonly port: number;
}

/** Options of a TCP listener. */
export interface TcpListenTarget extends TcpTarget {
  /** Lets several listeners share the port. @default {false} */
  readonly reusePort?: boolean | undefined;
}

/** Options of every connection of a listener. */
export interface ListenOptions {
  /**
   * Connections that the kernel keeps until they are accepted, 1 to 65535.
   *
   * @default {511} as other servers have it: a burst of connects fits, and Linux cuts it to its own limit
   */
  readonly backlog?: number | undefined;
  /**
   * Most connections that hold a descriptor of ours before they are accepted, because `node:tls`
   * accepts them from the kernel as they come. Further connections are refused.
   *
   * @default {`backlog`}
   */
  readonly maxWaiting?: number | undefined;
  /** Sends small writes at once (TCP_NODELAY). @default {true} a message must not wait 40 ms for another */
  readonly noDelay?: boolean | undefined;
  /** Lets the kernel probe silent peers (SO_KEEPALIVE). @default {false} our own keepalive sees more */
  readonly keepAlive?: KeepAlive | undefined;
  /**
   * Let connections be reset (see {@linkcode Transport}); with TLS they always can.
   * @default {false} node:net, which it needs, is a fifth slower
   */
  readonly canReset?: boolean | undefined;
  /**
   * Sources whose connections begin with a PROXY protocol header; see `Incoming.identify`.
   * @default {none}
   */
  readonly proxySources?: ProxySources | undefined;
}

/** The stage of a dial: looking up the name, waiting for the peer to accept, or the TLS handshake. */
export type DialStage = "resolve" | "connect" | "secure";

/** How to dial. */
export interface DialOptions {
  /** Ends the attempt: it rejects with `signal.reason`, and its descriptor is free then. */
  readonly signal: AbortSignal;
  /** Called at the beginning of each stage, so that a deadline can say what took too long. */
  readonly onStage?: ((stage: DialStage) => void) | undefined;
  /** Sends small writes at once (TCP_NODELAY). @default {true} */
  readonly noDelay?: boolean | undefined;
  /** Lets the kernel probe a silent peer (SO_KEEPALIVE). @default {false} */
  readonly keepAlive?: KeepAlive | undefined;
  /**
   * Let the connection be reset (see {@linkcode Transport}); with TLS it always can.
   * @default {false} node:net, which it needs, is a fifth slower
   */
  readonly canReset?: boolean | undefined;
}

/** How many connections wait for `accept` unless set otherwise. */
export const DEFAULT_BACKLOG = 511;

/** A connection over TCP. */
export class TcpTransport extends SocketTransport {
  readonly #socket: Deno.TcpConn;

  /** Takes over a connected socket. */
  constructor(socket: Deno.TcpConn, description: SocketDescription) {
    super(socket, description);
    this.#socket = socket;
  }

  /**
   * Changes socket options.
   *
   * @throws {TypeError} when a socket of Deno's has no such option
   */
  tune(tuning: SocketTuning): void {
    checkTuning("Cannot tune the connection", tuning);
    refuseDelay("Cannot tune the connection", tuning.keepAlive);
    applyTuning(this.#socket, tuning);
  }
}

/** Connects a socket of Deno, and sets its options. */
export async function connectTcp(target: TcpTarget, options: DialOptions): Promise<Deno.TcpConn> {
  const { signal, noDelay = true, keepAlive = false, onStage } = options;
  const { hostname, port } = target;
  const address: Address = { transport: "tcp", hostname, port };
  refuseDelay("Cannot connect", keepAlive);
  signal.throwIfAborted();
  onStage?.("resolve");
  const addresses = await addressesToDial(target, signal).catch((cause) => {
    signal.throwIfAborted();
    throw dialFault(address, cause);
  });
  onStage?.("connect");
  const socket = await dialFirst(
    addresses,
    signal,
    (host, signal) => connectAddress({ hostname: host, port }, address, signal),
    closeQuietly,
  );
  if (signal.aborted) {
    closeQuietly(socket);
    throw signal.reason;
  }
  applyTuning(socket, { noDelay, ...keepAlive && { keepAlive } });
  return socket;
}

/**
 * Connects to one address. In Deno 2.9 `Deno.connect` loses the socket when its signal aborts as
 * the socket comes up: it throws the signal's reason in place of the socket. So it gets a signal of
 * its own, whose abort ends the attempt, and a socket that comes up all the same is closed here.
 * `tests/net/dial_abort_test.ts` checks that the platform still does so.
 */
async function connectAddress(
  target: TcpTarget,
  shown: Address,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const stop = new AbortController();
  Object.defineProperty(stop.signal, "throwIfAborted", { value: () => {} });
  const connecting = Deno.connect({ ...target, signal: stop.signal });
  let socket: Deno.TcpConn;
  try {
    socket = await unlessAborted(connecting, signal, closeQuietly);
  } catch (cause) {
    stop.abort();
    // The attempt ends at once, and then the descriptor is free; only a resolver may take longer.
    if (signal.aborted && isAddress(target.hostname)) await connecting.catch(() => {});
    signal.throwIfAborted();
    throw dialFault(shown, cause);
  }
  if (!isSelf(toAddress(socket.localAddr), toAddress(socket.remoteAddr))) return socket;
  closeQuietly(socket);
  throw selfConnected(shown);
}

/** Dials over TCP. */
export async function dialTcp(target: TcpTarget, options: DialOptions): Promise<Transport> {
  const socket = await connectTcp(target, options);
  return new TcpTransport(socket, describe(socket));
}

/** Listens on TCP. */
export function listenTcp(target: TcpListenTarget, options: ListenOptions): Listener {
  const { hostname, port, reusePort = false } = target;
  const { backlog = DEFAULT_BACKLOG, noDelay = true, keepAlive = false } = options;
  checkReusePort(reusePort);
  refuseDelay("Cannot listen", keepAlive);
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen({ hostname, port, reusePort, tcpBacklog: backlog });
  } catch (cause) {
    throw listenFault({ transport: "tcp", hostname, port }, cause);
  }
  const tuning = { noDelay, ...keepAlive && { keepAlive } };
  const addr = toAddress(listener.addr);
  return new DenoListener(listener, {
    addr,
    proxySources: options.proxySources,
    describe: (socket) => describe(socket, addr),
    openNow(socket, description) {
      applyTuning(socket, tuning);
      return new TcpTransport(socket, description);
    },
  });
}

/**
 * Refuses to share a port where Deno would end the process for it.
 *
 * @throws {TypeError} when the flag that Deno wants is missing
 */
export function checkReusePort(reusePort: boolean): void {
  // The flag is seen by another function that it adds.
  if (!reusePort || "listenDatagram" in Deno) return;
  throw new TypeError(`Cannot listen: "reusePort" needs the flag --unstable-net of Deno`);
}

/** Returns an address of Deno as one of Parley: `known` itself, where it is the same. */
export function toAddress(addr: Deno.NetAddr, known?: Address): Address {
  const isKnown = known?.transport === "tcp" && known.port === addr.port &&
    known.hostname === addr.hostname;
  if (isKnown) return known;
  return { transport: "tcp", hostname: addr.hostname, port: addr.port };
}

/** Connections of a listener share its address, unless it listens on all addresses. */
function describe(socket: Deno.TcpConn, listening?: Address): SocketDescription {
  const localAddr = toAddress(socket.localAddr, listening);
  return { localAddr, remoteAddr: toAddress(socket.remoteAddr) };
}

/** Sets socket options. A peer that has left shows at the next read, not here. */
function applyTuning(socket: Deno.TcpConn, tuning: SocketTuning): void {
  try {
    if (tuning.noDelay !== undefined) socket.setNoDelay(tuning.noDelay);
    if (tuning.keepAlive !== undefined) socket.setKeepAlive(tuning.keepAlive === true);
  } catch {
    // The peer has left: there is nothing to set.
  }
}
