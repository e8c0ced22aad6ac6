// Listens by node:net: accepts sockets, with TLS or without, and reads nothing from them until they
// are opened.
import { unlessAborted } from "../../async/deadline.ts";
import net from "node:net";
import type { CredentialSource } from "../../tls/handshake/options.ts";
import type { ProxySources } from "../transport/proxy_sources.ts";
import { busyAccept, isConnectionFault, listenFault, peerVanished } from "../transport/faults.ts";
import { NodeLink, nothing } from "./node_link.ts";
import { NodeTransport } from "./node_transport.ts";
import {
  type ProxyHeader,
  ProxyHeaderDecoder,
  truncatedHeader,
} from "../transport/proxy_header.ts";
import { DEFAULT_BACKLOG, type ListenOptions, type TcpListenTarget } from "../socket/tcp.ts";
import { type NodeServerTls, ServerTls } from "./tls_node.ts";
import type {
  Address,
  Incoming,
  Listener,
  SocketTuning,
  Transport,
} from "../transport/transport.ts";
import { checkUnixPath, claimUnixPath, type UnixListenTarget } from "../socket/unix_path.ts";

/**
 * How often a listener that may have stopped accepting is woken, in ms. In Deno 2.9 a listener of
 * node:net that once ran out of descriptors never looks at its queue again, and emits no event.
 * Waking a listener that works does nothing.
 */
const WAKE_MS = 500;

/**
 * How soon it is woken after a connection came, in ms. It takes some connections of a flood before
 * it runs out of descriptors again, and the rest would wait for half a second each time.
 */
const WAKE_SOON_MS = 20;

/** What a listener of this backend needs. */
export interface NodeListenTls extends NodeServerTls {
  /** Current certificates, which may change. */
  readonly credentials: CredentialSource;
}

/** Listens on TCP. */
export async function listenTlsNode(
  target: TcpListenTarget,
  tls: NodeListenTls,
  options: ListenOptions,
): Promise<Listener> {
  return await listenOn(target, new Acceptor(new TlsOpening(tls), options));
}

/** Listens on TCP without TLS, for connections that can be reset. */
export async function listenNode(
  target: TcpListenTarget,
  options: ListenOptions,
): Promise<Listener> {
  return await listenOn(target, new Acceptor(PLAIN_OPENING, options));
}

async function listenOn(target: TcpListenTarget, acceptor: Acceptor): Promise<Listener> {
  const { hostname, port, reusePort = false } = target;
  try {
    await acceptor.listen({ host: hostname, port, ...reusePort && { reusePort } });
  } catch (cause) {
    throw listenFault({ transport: "tcp", hostname, port }, cause);
  }
  return acceptor;
}

/** Listens on a unix socket. */
export async function listenTlsNodeUnix(
  target: UnixListenTarget,
  tls: NodeListenTls,
  options: ListenOptions,
): Promise<Listener> {
  checkUnixPath("listen", target.path);
  const { listener, release } = await claimUnixPath(target, async (path) => {
    const acceptor = new Acceptor(new TlsOpening(tls), options, target.path);
    await acceptor.listen({ path });
    return acceptor;
  });
  listener.onClose = release;
  return listener;
}

/** The part of a listening handle that is used here; see {@linkcode WAKE_MS}. */
interface ListenHandle {
  onread?: unknown;
  listen?(backlog: number): number;
  readStart?(): number;
  readStop?(): number;
}

/** How an accepted socket becomes a transport. */
interface Opening {
  /** Takes over a link that needs no handshake. It must not throw. @default {all need one} */
  openNow?(link: NodeLink): Transport;
  /** Takes over the link. When this rejects, its descriptor is free. */
  open(link: NodeLink, options: { signal: AbortSignal }): Promise<Transport>;
  /** Called once, when the listener closes. */
  close(): void;
}

/** A handshake with the credentials that are current when it begins, not when the connection came. */
class TlsOpening implements Opening {
  readonly #unsubscribe: () => void;
  #server: ServerTls;

  constructor(tls: NodeListenTls) {
    this.#server = new ServerTls(tls.credentials.current, tls);
    this.#unsubscribe = tls.credentials.subscribe((next) => {
      this.#server = this.#server.renew(next);
    });
  }

  open(link: NodeLink, options: { signal: AbortSignal }): Promise<Transport> {
    return this.#server.open(link, options);
  }

  close(): void {
    this.#unsubscribe();
  }
}

const PLAIN_OPENING: Opening = {
  openNow: (link) => new NodeTransport(link),
  open(link, { signal }) {
    if (!signal.aborted) return Promise.resolve(new NodeTransport(link));
    link.destroy();
    return Promise.reject(signal.reason);
  },
  close: nothing,
};

class Acceptor implements Listener {
  readonly #server: net.Server;
  readonly #path: string | undefined;
  readonly #backlog: number;
  readonly #maxWaiting: number;
  readonly #tuning: SocketTuning;
  readonly #proxySources: ProxySources | undefined;
  readonly #opening: Opening;
  readonly #queue: NodeIncoming[] = [];
  #waiter: PromiseWithResolvers<Incoming | null> | undefined;
  #waker: ReturnType<typeof setInterval> | undefined;
  #wakesSoon: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  /** Called once, right after closing. */
  onClose: () => void = () => {};

  constructor(opening: Opening, options: ListenOptions, path?: string) {
    const { backlog = DEFAULT_BACKLOG, noDelay = true, keepAlive = false } = options;
    this.#path = path;
    this.#backlog = backlog;
    this.#maxWaiting = options.maxWaiting ?? backlog;
    this.#tuning = { noDelay, ...keepAlive && { keepAlive } };
    this.#proxySources = options.proxySources;
    this.#opening = opening;
    this.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
    this.#server.on("connection", (socket) => this.#admit(socket));
  }

  get addr(): Address {
    if (this.#path !== undefined) return { transport: "unix", path: this.#path };
    const address = this.#server.address();
    if (address === null || typeof address === "string") return this.#lastAddr;
    return this.#lastAddr = { transport: "tcp", hostname: address.address, port: address.port };
  }
  #lastAddr: Address = { transport: "tcp", hostname: "", port: 0 };

  async listen(where: net.ListenOptions): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("listening", resolve);
    this.#server.once("error", reject);
    try {
      this.#server.listen({ ...where, backlog: this.#backlog });
      await promise;
    } catch (cause) {
      this.#opening.close();
      throw cause;
    }
    this.#server.on("error", (error) => this.#fail(error));
    this.#lastAddr = this.addr;
    this.#waker = setInterval(() => this.#wake(), WAKE_MS);
    Deno.unrefTimer(this.#waker);
  }

  accept(): Promise<Incoming | null> {
    if (this.#closed) return Promise.resolve(null);
    if (this.#waiter !== undefined) return Promise.reject(busyAccept());
    const next = this.#queue.shift();
    if (next !== undefined) return Promise.resolve(next);
    this.#waiter = Promise.withResolvers();
    return this.#waiter.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#waker);
    clearTimeout(this.#wakesSoon);
    this.#opening.close();
    this.#server.close();
    for (const incoming of this.#queue.splice(0)) incoming.refuse();
    this.#waiter?.resolve(null);
    this.#waiter = undefined;
    this.onClose();
  }

  ref(): void {
    if (!this.#closed) this.#server.ref();
  }

  unref(): void {
    if (!this.#closed) this.#server.unref();
  }

  #admit(socket: net.Socket): void {
    this.#wakeSoon();
    // The platform accepts every connection: those that the kernel's backlog would hold back are
    // refused here.
    if (this.#closed || this.#queue.length >= this.#maxWaiting) {
      drop(socket);
      return;
    }
    const incoming = this.#take(socket);
    if (incoming === null) return;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter !== undefined) waiter.resolve(incoming);
    else this.#queue.push(incoming);
  }

  /** Returns `null` for a connection that was reset before it was accepted. */
  #take(socket: net.Socket): NodeIncoming | null {
    const isGone = socket.destroyed ||
      (this.#path === undefined && socket.remoteAddress === undefined);
    try {
      if (!isGone) {
        const link = new NodeLink(socket, this.#path, this.#lastAddr);
        link.tune(this.#tuning);
        const isProxied = this.#proxySources?.has(link.remoteAddr) === true;
        const opening = this.#opening;
        if (isProxied) return new ProxiedIncoming(link, opening);
        return opening.openNow === undefined
          ? new NodeIncoming(link, opening)
          : new PlainIncoming(link, opening);
      }
    } catch (error) {
      this.#fail(error);
    }
    drop(socket);
    return null;
  }

  /**
   * Reports a fault of the process to the waiting `accept`. Without one it is dropped, because it
   * will show again.
   */
  #fail(error: unknown): void {
    if (isConnectionFault(error)) return;
    this.#waiter?.reject(error);
    this.#waiter = undefined;
  }

  #wakeSoon(): void {
    if (this.#closed || this.#wakesSoon !== undefined) return;
    this.#wakesSoon = setTimeout(() => {
      this.#wakesSoon = undefined;
      this.#wake();
    }, WAKE_SOON_MS);
    Deno.unrefTimer(this.#wakesSoon);
  }

  #wake(): void {
    const handle =
      (this.#server as unknown as { _handle?: ListenHandle | null | undefined })._handle;
    if (!handle) return;
    if (this.#path === undefined) {
      handle.listen?.(this.#backlog);
      return;
    }
    // A second `listen` fails on a unix socket. A listener has nothing to read, but a read makes
    // the platform look at it.
    handle.onread ??= () => {};
    handle.readStart?.();
    handle.readStop?.();
  }
}

/** Frees the descriptor of an unwanted socket. */
function drop(socket: net.Socket): void {
  socket.on("error", nothing);
  socket.destroy();
}

class NodeIncoming implements Incoming {
  protected readonly link: NodeLink;
  protected readonly opening: Opening;

  constructor(link: NodeLink, opening: Opening) {
    this.link = link;
    this.opening = opening;
  }

  get localAddr(): Address {
    return this.link.localAddr;
  }

  get remoteAddr(): Address {
    return this.link.remoteAddr;
  }

  open(options: { signal: AbortSignal }): Promise<Transport> {
    return this.opening.open(this.link, options);
  }

  refuse(): void {
    this.link.destroy();
  }
}

/** A connection without a handshake. */
class PlainIncoming extends NodeIncoming {
  openNow(): Transport {
    return this.opening.openNow!(this.link);
  }
}

/**
 * A connection of a balancer, which first sends the address of its client: before the TLS
 * handshake, if there is one.
 */
class ProxiedIncoming extends NodeIncoming {
  #isIdentified = false;

  async identify({ signal }: { signal: AbortSignal }): Promise<void> {
    const { link } = this;
    try {
      const { addresses, rest } = await readHeader(link, signal);
      if (addresses !== null) Object.assign(link, addresses);
      if (rest.length > 0) link.socket.unshift(rest);
      this.#isIdentified = true;
    } catch (error) {
      link.destroy();
      throw error;
    }
  }

  override async open(options: { signal: AbortSignal }): Promise<Transport> {
    // The bytes of the client must never be taken for a header of the balancer.
    if (!this.#isIdentified) await this.identify(options);
    return await super.open(options);
  }
}

/** Reads a header from a socket that is paused, and pauses it again. */
async function readHeader(link: NodeLink, signal: AbortSignal): Promise<ProxyHeader> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<ProxyHeader>();
  const decoder = new ProxyHeaderDecoder();
  const stop = link.intercept((bytes) => {
    try {
      if (bytes === null) {
        const left = () => peerVanished("read", new Error("it left without a byte"));
        throw decoder.isEmpty ? left() : truncatedHeader();
      }
      const header = decoder.push(bytes);
      if (header === null) return;
      // At once, because what comes next is no part of the header.
      stop();
      resolve(header);
    } catch (error) {
      stop();
      reject(error);
    }
  });
  return await unlessAborted(promise, signal);
}
