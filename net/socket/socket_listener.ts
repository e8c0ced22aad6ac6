// DenoListener: a Listener over one of Deno's: TCP, a unix socket or native TLS.
import { watchWait } from "../../async/wait.ts";
import type { ProxySources } from "../transport/proxy_sources.ts";
import { busyAccept, isConnectionFault, peerVanished } from "../transport/faults.ts";
import {
  type ProxyHeader,
  ProxyHeaderDecoder,
  truncatedHeader,
} from "../transport/proxy_header.ts";
import { closeQuietly, type SocketDescription } from "./socket_transport.ts";
import type { Address, Incoming, Listener, Transport } from "../transport/transport.ts";

/**
 * Connections in a row that ended before they were accepted, after which the rest of the process
 * gets a turn.
 */
const FAULTS_PER_TURN = 64;

/** Length of that turn in ms: no call waits for it, so it costs little. */
const TURN_MS = 5;

/**
 * Bytes that one read of a PROXY header takes: the header fits into the smallest packet that every
 * host takes.
 */
const HEADER_READ_BYTES = 536;

/** The part of Deno's listeners that is used here. */
export interface PlatformListener<Conn> {
  accept(): Promise<Conn>;
  close(): void;
  ref(): void;
  unref(): void;
}

/** The part of Deno's sockets that is used here. */
export interface AcceptedConn {
  read(into: Uint8Array): Promise<number | null>;
  close(): void;
}

/** What every kind of listener has. */
interface ListenerTraits<Conn> {
  /** Where it listens. */
  readonly addr: Address;
  /** Sources whose connections begin with a PROXY header. */
  readonly proxySources?: ProxySources | undefined;
  /** Returns the addresses of an accepted socket; it throws when the peer is gone. */
  describe(conn: Conn): SocketDescription;
  /**
   * Called right after closing: with `true`, or, where an `accept` waits, with `false` and then
   * with `true` when that has ended.
   */
  onClose?(isSettled: boolean): void;
}

/** What differs where connections are ready as they come. */
interface PlainKind<Conn> extends ListenerTraits<Conn> {
  /** Makes a transport of an accepted socket. It must not throw. */
  openNow(conn: Conn, description: SocketDescription): Transport;
  readonly open?: undefined;
}

/** What differs where a TLS handshake comes first. */
interface SecureKind<Conn> extends ListenerTraits<Conn> {
  /** Finishes the handshake of an accepted socket, which is closed when this rejects. */
  open(conn: Conn, signal: AbortSignal): Promise<Transport>;
  readonly openNow?: undefined;
}

/** What differs from one kind of listener to the next. */
export type ListenerKind<Conn> = PlainKind<Conn> | SecureKind<Conn>;

/**
 * Accepts sockets of Deno. It passes over all connections that ended before they were accepted,
 * because a client that hangs up must not keep the next one waiting. A fault of the process rejects
 * one `accept`; the next may succeed. One `accept` at a time.
 */
export class DenoListener<Conn extends AcceptedConn> implements Listener {
  readonly addr: Address;
  readonly #listener: PlatformListener<Conn>;
  readonly #kind: ListenerKind<Conn>;
  #accepting = false;
  #closed = false;
  /** Ends the turn of the rest of the process. */
  #endTurn = () => {};

  /** Takes over a listening socket. */
  constructor(listener: PlatformListener<Conn>, kind: ListenerKind<Conn>) {
    this.addr = kind.addr;
    this.#listener = listener;
    this.#kind = kind;
  }

  async accept(): Promise<Incoming | null> {
    if (this.#closed) return null;
    if (this.#accepting) throw busyAccept();
    this.#accepting = true;
    try {
      for (let faults = 1; !this.#closed; faults++) {
        let conn: Conn | null = null;
        try {
          conn = await this.#listener.accept();
        } catch (error) {
          if (!this.#closed && !isConnectionFault(error)) throw error;
        }
        const incoming = conn === null ? null : this.#makeIncoming(conn);
        if (incoming !== null) return incoming;
        if (faults % FAULTS_PER_TURN === 0) await this.#giveTurn();
      }
      return null;
    } finally {
      this.#accepting = false;
      if (this.#closed) this.#kind.onClose?.(true);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#listener);
    this.#endTurn();
    this.#kind.onClose?.(!this.#accepting);
  }

  ref(): void {
    if (!this.#closed) this.#listener.ref();
  }

  unref(): void {
    if (!this.#closed) this.#listener.unref();
  }

  /** Returns `null` for a connection whose peer is gone, and when the listener is closed. */
  #makeIncoming(conn: Conn): Incoming | null {
    const kind = this.#kind;
    try {
      if (!this.#closed) {
        const description = kind.describe(conn);
        const isProxied = kind.proxySources?.has(description.remoteAddr) === true;
        if (isProxied) return new ProxiedIncoming(conn, kind, description);
        return kind.openNow === undefined
          ? new SocketIncoming(conn, kind, description)
          : new PlainIncoming(conn, kind, description);
      }
    } catch {
      // The peer is gone: its addresses cannot be read any more.
    }
    closeQuietly(conn);
    return null;
  }

  /** A flood of dead connections, each of which fails at once, must not hold up the rest of the process. */
  #giveTurn(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, TURN_MS);
    this.#endTurn = () => {
      clearTimeout(timer);
      resolve();
    };
    return promise;
  }
}

class SocketIncoming<Conn extends AcceptedConn> implements Incoming {
  protected readonly kind: ListenerKind<Conn>;
  protected readonly conn: Conn;
  protected description: SocketDescription;

  constructor(conn: Conn, kind: ListenerKind<Conn>, description: SocketDescription) {
    this.kind = kind;
    this.conn = conn;
    this.description = description;
  }

  get localAddr(): Address {
    return this.description.localAddr;
  }

  get remoteAddr(): Address {
    return this.description.remoteAddr;
  }

  async open({ signal }: { signal: AbortSignal }): Promise<Transport> {
    try {
      signal.throwIfAborted();
      const { kind, conn, description } = this;
      return kind.openNow === undefined
        ? await kind.open(conn, signal)
        : kind.openNow(conn, description);
    } catch (error) {
      closeQuietly(this.conn);
      throw error;
    }
  }

  refuse(): void {
    closeQuietly(this.conn);
  }
}

/** A connection without a handshake. */
class PlainIncoming<Conn extends AcceptedConn> extends SocketIncoming<Conn> {
  declare protected readonly kind: PlainKind<Conn>;

  constructor(conn: Conn, kind: PlainKind<Conn>, description: SocketDescription) {
    super(conn, kind, description);
  }

  openNow(): Transport {
    return this.kind.openNow(this.conn, this.description);
  }
}

/** A connection of a balancer, which first sends the address of its client. */
class ProxiedIncoming<Conn extends AcceptedConn> extends SocketIncoming<Conn> {
  #isIdentified = false;

  async identify({ signal }: { signal: AbortSignal }): Promise<void> {
    const { conn, description } = this;
    const stop = watchWait({ signal }, { cancel: () => closeQuietly(conn) });
    try {
      signal.throwIfAborted();
      const { addresses, rest } = await readHeader(conn);
      this.description = { ...description, ...addresses, ...rest.length > 0 && { first: rest } };
      this.#isIdentified = true;
    } catch (error) {
      closeQuietly(conn);
      throw signal.aborted ? signal.reason : error;
    } finally {
      stop();
    }
  }

  override async open(options: { signal: AbortSignal }): Promise<Transport> {
    // The bytes of the client must never be taken for a header of the balancer.
    if (!this.#isIdentified) await this.identify(options);
    return await super.open(options);
  }
}

async function readHeader(conn: AcceptedConn): Promise<ProxyHeader> {
  const decoder = new ProxyHeaderDecoder();
  for (;;) {
    const buffer = new Uint8Array(HEADER_READ_BYTES);
    let length: number | null;
    try {
      length = await conn.read(buffer);
    } catch (cause) {
      throw decoder.isEmpty ? peerVanished("read", cause) : truncatedHeader();
    }
    if (length === null) {
      throw decoder.isEmpty
        ? peerVanished("read", new Error("it left without a byte"))
        : truncatedHeader();
    }
    const header = decoder.push(buffer.subarray(0, length));
    if (header !== null) return header;
  }
}
