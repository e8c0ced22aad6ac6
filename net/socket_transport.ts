// SocketTransport: a Transport over a Deno.Conn, be it TCP, a unix socket or native TLS.
import { busy, closedHere, peerVanished } from "./faults.ts";
import { ReadBuffer } from "./read_buffer.ts";
import type { Address, TlsInfo, Transport } from "./transport.ts";

/** What a {@linkcode SocketTransport} shows beside the bytes. */
export interface SocketDescription {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly tls?: TlsInfo;
}

/** Bytes over a socket of Deno's. A read costs one operation, and so does a write that the kernel takes at once. */
export class SocketTransport implements Transport {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  declare readonly tls?: TlsInfo;
  readonly #conn: Deno.Conn;
  readonly #buffer = new ReadBuffer();
  #closed = false;
  #reading = false;
  #writing = false;
  #ended = false;

  /** Takes over a connected socket. */
  constructor(conn: Deno.Conn, description: SocketDescription) {
    this.#conn = conn;
    this.localAddr = description.localAddr;
    this.remoteAddr = description.remoteAddr;
    if (description.tls !== undefined) this.tls = description.tls;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#closed) throw closedHere("read");
    if (this.#reading) throw busy("read");
    this.#reading = true;
    let length: number | null;
    try {
      length = await this.#conn.read(this.#buffer.space());
    } catch (cause) {
      throw this.#closed ? closedHere("read") : peerVanished("read", cause);
    } finally {
      this.#reading = false;
    }
    if (this.#closed) throw closedHere("read");
    return length === null ? null : this.#buffer.take(length);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw closedHere("write");
    if (this.#writing) throw busy("write");
    this.#writing = true;
    try {
      for (let at = 0; at < bytes.length;) {
        at += await this.#conn.write(at === 0 ? bytes : bytes.subarray(at));
      }
    } catch (cause) {
      throw this.#closed ? closedHere("write") : peerVanished("write", cause);
    } finally {
      this.#writing = false;
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#closed || this.#ended) return;
    this.#ended = true;
    try {
      await this.#conn.closeWrite();
    } catch (cause) {
      if (!this.#closed) throw peerVanished("close", cause);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#buffer.release();
    closeQuietly(this.#conn);
  }

  ref(): void {
    if (!this.#closed) refOf(this.#conn)?.ref();
  }

  unref(): void {
    if (!this.#closed) refOf(this.#conn)?.unref();
  }
}

/** Closes a socket that may be closed already. */
export function closeQuietly(conn: { close(): void }): void {
  try {
    conn.close();
  } catch {
    // It was closed: all that was wanted.
  }
}

function refOf(conn: Deno.Conn): { ref(): void; unref(): void } | undefined {
  return "ref" in conn && "unref" in conn ? conn as unknown as { ref(): void; unref(): void } : undefined;
}
