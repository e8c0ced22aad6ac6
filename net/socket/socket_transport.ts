// SocketTransport: a Transport over a Deno.Conn: TCP, a unix socket or native TLS.
import { bufferGone, busy, closedHere, transportFault } from "../transport/faults.ts";
import { handRead, handWrite } from "../transport/handover.ts";
import { ReadBuffer } from "../transport/read_buffer.ts";
import { unacknowledgedBytes } from "../transport/send_queue.ts";
import type {
  Address,
  ChunkReader,
  ChunkWriter,
  TlsInfo,
  Transport,
} from "../transport/transport.ts";

/** What a {@linkcode SocketTransport} shows beside the bytes. */
export interface SocketDescription {
  /** The near end. */
  readonly localAddr: Address;
  /** The far end. */
  readonly remoteAddr: Address;
  /** Facts of the TLS handshake, if there was one. */
  readonly tls?: TlsInfo | undefined;
  /** Bytes of the peer that were read before: the first read returns them. */
  readonly first?: Uint8Array | undefined;
}

/**
 * Bytes over a socket of Deno. A read costs one operation, and so does a write that the kernel
 * takes at once. One read and one write at a time.
 */
export class SocketTransport implements Transport {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  declare readonly tls?: TlsInfo | undefined;
  readonly #conn: Deno.Conn;
  readonly #buffer = new ReadBuffer();
  #closed = false;
  #reading = false;
  /** The bytes of the write under way. */
  #writing: Uint8Array | null = null;
  /** How many they are, and how many of them are not yet written. */
  #length = 0;
  #left = 0;
  /** Who gets the results of the calls under way, where it is no promise. */
  #reader: ChunkReader | null = null;
  #writer: ChunkWriter | null = null;
  #ended = false;
  /** Bytes that were read before this object took over the socket, until the first read. */
  #first: Uint8Array | undefined;

  /** Takes over a connected socket. */
  constructor(conn: Deno.Conn, description: SocketDescription) {
    this.#conn = conn;
    this.localAddr = description.localAddr;
    this.remoteAddr = description.remoteAddr;
    if (description.tls !== undefined) this.tls = description.tls;
    this.#first = description.first;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#closed) return Promise.reject(closedHere("read"));
    if (this.#reading) return Promise.reject(busy("read"));
    if (this.#first !== undefined) return this.#takeFirst(this.#first);
    return new Promise((resolve, reject) => {
      this.readTo({ onChunk: resolve, onReadFailed: reject });
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(closedHere("write"));
    if (this.#writing !== null) return Promise.reject(busy("write"));
    if (bytes.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.writeFor(bytes, { onWritten: resolve, onWriteFailed: reject });
    });
  }

  readTo(reader: ChunkReader): void {
    if (this.#closed || this.#reading || this.#first !== undefined) {
      return handRead(this.read(), reader);
    }
    this.#reading = true;
    this.#reader = reader;
    this.#conn.read(this.#buffer.space()).then(this.#onReadTo, this.#onReadToFailed);
  }

  writeFor(bytes: Uint8Array, writer: ChunkWriter): void {
    if (this.#closed || this.#writing !== null || bytes.length === 0) {
      return handWrite(this.write(bytes), writer);
    }
    this.#writing = bytes;
    this.#length = this.#left = bytes.length;
    this.#writer = writer;
    this.#conn.write(bytes).then(this.#onWrittenFor, this.#onWriteForFailed);
  }

  reuse(chunk: Uint8Array): void {
    // A read under way goes to the place behind the chunk.
    if (!this.#reading) this.#buffer.reuse(chunk);
  }

  #takeFirst(bytes: Uint8Array): Promise<Uint8Array> {
    this.#first = undefined;
    return Promise.resolve(bytes);
  }

  get takenBytes(): number {
    return this.#writing === null ? 0 : this.#length - this.#left;
  }

  unacknowledgedBytes(): number | null {
    return unacknowledgedBytes(this.localAddr, this.remoteAddr);
  }

  async closeWrite(): Promise<void> {
    if (this.#closed || this.#ended) return;
    this.#ended = true;
    try {
      await this.#conn.closeWrite();
    } catch (cause) {
      if (!this.#closed) throw transportFault("close", cause);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#buffer.release();
    closeQuietly(this.#conn);
  }

  // One closure for each connection: a promise and a closure for each message would cost more than
  // the rest of this class.
  readonly #onReadTo = (length: number | null): void => {
    const reader = this.#reader!;
    this.#reading = false;
    this.#reader = null;
    if (this.#closed) reader.onReadFailed(closedHere("read"));
    else reader.onChunk(length === null ? null : this.#buffer.take(length));
  };

  readonly #onReadToFailed = (cause: unknown): void => {
    const reader = this.#reader!;
    this.#reading = false;
    this.#reader = null;
    reader.onReadFailed(this.#closed ? closedHere("read") : transportFault("read", cause));
  };

  readonly #onWrittenFor = (length: number): void => {
    const bytes = this.#writing!;
    const left = this.#left -= length;
    if (left === 0) return this.#endWrite(null);
    // A buffer that was transferred is empty now, and a write of nothing would never end.
    if (bytes.length !== this.#length) return this.#endWrite(bufferGone());
    this.#conn.write(bytes.subarray(this.#length - left))
      .then(this.#onWrittenFor, this.#onWriteForFailed);
  };

  readonly #onWriteForFailed = (cause: unknown): void => {
    const bytes = this.#writing!;
    // The platform fails in its own words when a buffer is transferred while it writes.
    if (bytes.length !== this.#length && !this.#closed) this.#endWrite(bufferGone());
    else this.#endWrite(this.#closed ? closedHere("write") : transportFault("write", cause));
  };

  #endWrite(error: Error | null): void {
    const writer = this.#writer!;
    this.#writing = null;
    this.#writer = null;
    if (error === null) writer.onWritten();
    else writer.onWriteFailed(error);
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
    // It is closed, as wanted.
  }
}

function refOf(conn: Deno.Conn): { ref(): void; unref(): void } | undefined {
  return "ref" in conn && "unref" in conn
    ? conn as unknown as { ref(): void; unref(): void }
    : undefined;
}
