// DenoListener: a Listener over one of Deno's, be it TCP, a unix socket or native TLS.
import { busyAccept } from "./faults.ts";
import { closeQuietly, type SocketDescription } from "./socket_transport.ts";
import type { Address, Incoming, Listener, Transport } from "./transport.ts";

/** The part of Deno's listeners that is used here. */
interface PlatformListener<Conn> {
  accept(): Promise<Conn>;
  close(): void;
  ref(): void;
  unref(): void;
}

/** What differs from one kind of listener to the next. */
export interface ListenerKind<Conn> {
  /** Where it listens. */
  readonly addr: Address;
  /** Tells the addresses of an accepted socket. */
  describe(conn: Conn): SocketDescription;
  /** Finishes what the kernel began; the socket is closed when it rejects. */
  open(conn: Conn, description: SocketDescription, signal: AbortSignal): Promise<Transport>;
  /** Called once, right after closing. */
  onClose?(): void;
}

/** Accepts sockets of Deno's. A fault of the kernel rejects one `accept`; the next may succeed. */
export class DenoListener<Conn extends { close(): void }> implements Listener {
  readonly addr: Address;
  readonly #listener: PlatformListener<Conn>;
  readonly #kind: ListenerKind<Conn>;
  #accepting = false;
  #closed = false;

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
      const conn = await this.#listener.accept();
      if (!this.#closed) return new SocketIncoming(conn, this.#kind);
      closeQuietly(conn);
      return null;
    } catch (error) {
      if (this.#closed) return null;
      throw error;
    } finally {
      this.#accepting = false;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#listener);
    this.#kind.onClose?.();
  }

  ref(): void {
    if (!this.#closed) this.#listener.ref();
  }

  unref(): void {
    if (!this.#closed) this.#listener.unref();
  }
}

class SocketIncoming<Conn extends { close(): void }> implements Incoming {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #conn: Conn;
  readonly #kind: ListenerKind<Conn>;

  constructor(conn: Conn, kind: ListenerKind<Conn>) {
    const { localAddr, remoteAddr } = kind.describe(conn);
    this.#conn = conn;
    this.#kind = kind;
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
  }

  async open({ signal }: { signal: AbortSignal }): Promise<Transport> {
    try {
      signal.throwIfAborted();
      return await this.#kind.open(this.#conn, this, signal);
    } catch (error) {
      closeQuietly(this.#conn);
      throw error;
    }
  }

  refuse(): void {
    closeQuietly(this.#conn);
  }
}
