// NodeTransport: a Transport over a socket of node:net, or over a session of node:tls on one.
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { bufferGone, busy, closedHere, transportFault } from "../transport/faults.ts";
import { handRead, handWrite } from "../transport/handover.ts";
import type { NodeLink } from "./node_link.ts";
import { unacknowledgedBytes } from "../transport/send_queue.ts";
import type {
  Address,
  ChunkReader,
  ChunkWriter,
  SocketTuning,
  TlsInfo,
  Transport,
} from "../transport/transport.ts";
import { checkTuning } from "../transport/tuning.ts";

/** Bytes read ahead of the reader at which reading from the kernel stops. */
const PAUSE_BYTES = 128 * 1024;

/** Bytes read ahead of the reader at which reading goes on. */
const RESUME_BYTES = 32 * 1024;

/** Bytes read ahead at which the connection ends: reading did not stop when it was asked to. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * How long a write to a peer that has sent nothing may hold up reading, in ms: long enough for a
 * peer that ends its direction right after it has connected, also on a busy machine; short, because
 * something to read may wait.
 */
const HOLD_MS = 1000;

/**
 * How long a write may wait for a peer that has ended its direction without having sent anything,
 * in ms: the platform polls meanwhile.
 */
const ENDED_MS = 60_000;

/** The transport of a socket. */
const OWNER: unique symbol = Symbol("transport");

/** A socket with its transport, to which the platform's callbacks lead. */
interface OwnedSocket extends Socket {
  [OWNER]: NodeTransport;
}

/** The state of the reading side. */
type Incoming =
  | { readonly kind: "open" }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly cause: unknown };

const OPEN: Incoming = { kind: "open" };
const ENDED: Incoming = { kind: "ended" };

/**
 * Bytes over a socket of node:net, or over a session of node:tls.
 *
 * It takes bytes where the platform delivers them (`push`), before node's streams: that is faster,
 * and the only place where the end of a session differs from the end of its socket. One read and
 * one write at a time.
 */
export class NodeTransport implements Transport {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  declare readonly tls?: TlsInfo | undefined;
  readonly #link: NodeLink;
  /** The TLS session; the socket itself where there is none. */
  readonly #session: Socket;
  /** Bytes read ahead of the reader; made when there are some. */
  #chunks: Uint8Array[] | null = null;
  #bytes = 0;
  #incoming = OPEN;
  #closed = false;
  #ended = false;
  #hasHeld = false;
  /** Whether the end of our direction carries the mark of an orderly end. */
  #signed = true;
  /** Why nothing can be written any more, although there may be something to read. */
  #deaf: { readonly cause: unknown } | undefined;
  /** Who gets the results of the calls under way. */
  #reader: ChunkReader | undefined;
  #writer: ChunkWriter | undefined;
  /**
   * The bytes of the current write, and their number at its start: the buffer is empty when it is
   * transferred meanwhile.
   */
  #writing: Uint8Array | undefined;
  #length = 0;

  /** Takes over a link: with its TLS session right after the handshake, or without one. */
  constructor(link: NodeLink, secure?: { readonly session: Socket; readonly info: TlsInfo }) {
    this.#link = link;
    const session = this.#session = secure?.session ?? link.socket;
    this.localAddr = link.localAddr;
    this.remoteAddr = link.remoteAddr;
    if (secure !== undefined) this.tls = secure.info;
    const owned = session as OwnedSocket;
    owned[OWNER] = this;
    session.on("error", NodeTransport.#onError);
    session.on("close", NodeTransport.#onClose);
    // What came together with the last bytes of the handshake.
    for (let chunk: Uint8Array | null; (chunk = session.read()) !== null;) this.#take(chunk);
    if (session.readableEnded) this.#end();
    else session.on("end", NodeTransport.#onEnd);
    session.push = NodeTransport.#push;
    if (secure !== undefined) return;
    link.watch();
    this.#keepReading();
    // An accepted socket is paused until it is opened.
    session.resume();
  }

  // All transports share these functions: of their own, they would be the larger part of what an
  // idle connection costs here. The platform calls them as methods of the socket.

  static #onError(this: Socket, cause: Error): void {
    (this as OwnedSocket)[OWNER].#fail(cause);
  }

  static #onClose(this: Socket): void {
    const transport = (this as OwnedSocket)[OWNER];
    // Most connections are closed by us: an error would cost more than the rest of the closing.
    if (!transport.#closed) transport.#fail("the socket was closed");
  }

  static #onEnd(this: Socket): void {
    (this as OwnedSocket)[OWNER].#end();
  }

  static #push(this: Socket, chunk: Uint8Array | null): boolean {
    const transport = (this as OwnedSocket)[OWNER];
    if (chunk !== null) transport.#take(chunk);
    else if (transport.tls !== undefined && transport.#link.ending) {
      transport.#fail("the socket ended before the TLS session did");
    } else transport.#end();
    return true;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#closed) return Promise.reject(closedHere("read"));
    if (this.#reader !== undefined) return Promise.reject(busy("read"));
    const chunk = this.#chunks?.shift();
    if (chunk !== undefined) {
      this.#bytes -= chunk.length;
      if (this.#bytes <= RESUME_BYTES) this.#link.resume();
      return Promise.resolve(chunk);
    }
    if (this.#incoming.kind === "ended") return Promise.resolve(null);
    if (this.#incoming.kind === "failed") {
      return Promise.reject(transportFault("read", this.#incoming.cause));
    }
    return new Promise((resolve, reject) => {
      this.#reader = { onChunk: resolve, onReadFailed: reject };
    });
  }

  readTo(reader: ChunkReader): void {
    const isEmpty = this.#chunks === null || this.#chunks.length === 0;
    const waits = isEmpty && !this.#closed && this.#reader === undefined &&
      this.#incoming.kind === "open";
    if (waits) this.#reader = reader;
    else handRead(this.read(), reader);
  }

  write(bytes: Uint8Array): Promise<void> {
    const refusal = this.#refuseWrite();
    if (refusal !== null) return Promise.reject(refusal);
    if (bytes.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#begin(bytes, { onWritten: resolve, onWriteFailed: reject });
    });
  }

  writeFor(bytes: Uint8Array, writer: ChunkWriter): void {
    if (this.#refuseWrite() === null && bytes.length > 0) this.#begin(bytes, writer);
    else handWrite(this.write(bytes), writer);
  }

  /** Why a write is refused, if it is. */
  #refuseWrite(): Error | null {
    if (this.#closed) return closedHere("write");
    if (this.#writer !== undefined) return busy("write");
    if (this.#incoming.kind === "failed") return transportFault("write", this.#incoming.cause);
    return this.#deaf === undefined ? null : transportFault("write", this.#deaf.cause);
  }

  #begin(bytes: Uint8Array, writer: ChunkWriter): void {
    this.#writer = writer;
    this.#writing = bytes;
    this.#length = bytes.length;
    // A session has received something, if only its handshake.
    if (this.tls === undefined && this.#link.isPeerSilent) this.#writeHeld(bytes, writer);
    else this.#session.write(bytes, this.#onWritten);
  }

  unacknowledgedBytes(): number | null {
    return unacknowledgedBytes(this.localAddr, this.remoteAddr);
  }

  async closeWrite(): Promise<void> {
    if (this.#closed || this.#ended) return;
    // An end of plain TCP looks like one in order: the reset that follows is the only one.
    if (this.#resets) return;
    this.#ended = true;
    if (this.#incoming.kind === "failed") throw transportFault("close", this.#incoming.cause);
    if (this.#deaf !== undefined) throw transportFault("close", this.#deaf.cause);
    // Without a session on it, the end of the socket is the only one. Under a session it is one
    // that an attacker on the way could make.
    const ending = this.#signed ? this.#session : this.#link.socket;
    const cause = await new Promise<unknown>((resolve) => {
      ending.end((error?: unknown) => resolve(error));
    });
    if (cause && !this.#closed) throw transportFault("close", cause);
  }

  close(): void {
    if (this.#closed) return;
    if (this.#resets) return this.reset();
    const writing = this.#writer !== undefined;
    this.#leave();
    const session = this.#session;
    if (this.tls === undefined || !this.#signed || writing || this.#ended || session.destroyed) {
      session.destroy();
      return;
    }
    // Sends the mark of an orderly end without waiting: the platform's queue is written within two
    // turns of the event loop, or never. That `end` has finished says less.
    session.end();
    setImmediate(() => setImmediate(() => session.destroy()));
  }

  unsign(): void {
    this.#signed = false;
  }

  /** Whether an end without a mark is a reset: plain TCP has no other. */
  get #resets(): boolean {
    return !this.#signed && this.tls === undefined && this.localAddr.transport === "tcp";
  }

  reset(): void {
    this.#leave();
    this.#link.reset();
    this.#session.destroy();
  }

  tune(tuning: SocketTuning): void {
    checkTuning("Cannot tune the connection", tuning);
    if (this.localAddr.transport !== "tcp") {
      throw new TypeError("Cannot tune the connection: a unix socket has no such options");
    }
    if (!this.#closed) this.#link.tune(tuning);
  }

  ref(): void {
    this.#link.setReferenced(true);
  }

  unref(): void {
    this.#link.setReferenced(false);
  }

  /**
   * A write fails when the peer has reset the connection, and what it said before waits to be read:
   * a server's answer to more than it wants to take. The platform would free the socket with all
   * that.
   */
  #keepReading(): void {
    const session = this.#session;
    const { destroy } = session;
    session.destroy = (cause?: Error) => {
      if (this.#closed || this.#incoming.kind !== "open" || !isOfWrite(cause)) {
        return destroy.call(session, cause);
      }
      this.#deaf = { cause };
      return session;
    };
  }

  /** Ends all current calls, and refuses later ones. */
  #leave(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#chunks = null;
    if (this.#reader !== undefined) handRead(Promise.reject(closedHere("read")), this.#reader);
    this.#reader = undefined;
    if (this.#writer !== undefined) handWrite(Promise.reject(closedHere("write")), this.#writer);
    this.#writer = undefined;
  }

  /**
   * Writes to a peer that has sent nothing yet, which could break the write by ending its
   * direction: see {@linkcode NodeLink}.
   */
  #writeHeld(bytes: Uint8Array, writer: ChunkWriter): void {
    const link = this.#link;
    const write = () => {
      if (this.#writer !== writer) return;
      if (this.#isBufferGone()) return this.#onWritten();
      let onTaken = () => {};
      this.#session.write(bytes, (cause) => {
        onTaken();
        this.#onWritten(cause);
      });
      // The kernel has taken all: nothing waits.
      if (this.#session.writableLength === 0) return;
      link.hold();
      const timer = setTimeout(() => this.#holdNoLonger(), link.hasEnded ? ENDED_MS : HOLD_MS);
      onTaken = () => {
        clearTimeout(timer);
        link.release();
      };
    };
    const first = !this.#hasHeld && !link.hasEnded;
    this.#hasHeld = true;
    // Else one write after another would stop all reading: two turns of the event loop are enough for a read.
    if (first) write();
    else setImmediate(() => setImmediate(write));
  }

  #holdNoLonger(): void {
    if (!this.#link.hasEnded) return this.#link.release();
    this.#fail(`it has taken nothing for ${ENDED_MS} ms`);
    this.#link.reset();
  }

  readonly #onWritten = (cause?: Error | null): void => {
    const writer = this.#writer;
    const isGone = this.#isBufferGone();
    this.#writer = undefined;
    this.#writing = undefined;
    if (writer === undefined) return;
    if (isGone) writer.onWriteFailed(bufferGone());
    else if (cause) writer.onWriteFailed(transportFault("write", cause));
    else writer.onWritten();
  };

  /**
   * The platform writes from the sender's memory: what it wrote of memory that belongs to another
   * by now is unknown.
   */
  #isBufferGone(): boolean {
    return this.#writing !== undefined && this.#writing.length !== this.#length;
  }

  #take(chunk: Uint8Array): void {
    if (this.#closed) return;
    // A `Uint8Array`, because `slice` of node's Buffer does not copy.
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.onChunk(bytes);
      return;
    }
    (this.#chunks ??= []).push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes < PAUSE_BYTES) return;
    this.#link.pause();
    if (this.#bytes > MAX_BYTES) {
      this.#session.destroy(new Error("bytes came that were not asked for"));
    }
  }

  #end(): void {
    if (this.#incoming.kind !== "open") return;
    this.#incoming = ENDED;
    if (this.#reader !== undefined) handRead(Promise.resolve(null), this.#reader);
    this.#reader = undefined;
  }

  /** `reason` is what the platform says, or what we do: no error is made of it that nothing waits for. */
  #fail(reason: unknown): void {
    if (this.#incoming.kind === "failed") return;
    const reader = this.#reader;
    const writer = this.#writer;
    this.#reader = undefined;
    this.#writer = undefined;
    // The reading side has ended already: what comes after its end concerns the writer only.
    if (this.#incoming.kind === "open") this.#incoming = { kind: "failed", cause: reason };
    // Later, like every end: a caller is never called back by its own call.
    if (reader !== undefined) handRead(Promise.reject(transportFault("read", reason)), reader);
    if (writer !== undefined) {
      const error = this.#isBufferGone() ? bufferGone() : transportFault("write", reason);
      handWrite(Promise.reject(error), writer);
    }
    this.#session.destroy();
  }
}

/** Whether it is an error that the platform reports for a failed write. */
function isOfWrite(cause: unknown): boolean {
  return cause instanceof Error && "syscall" in cause && cause.syscall === "write";
}
