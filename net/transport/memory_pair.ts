// memoryPair(): two transports that are joined in memory.
import { ClosedError } from "../../errors.ts";
import type { Address, Transport } from "./transport.ts";

/** Options of {@linkcode memoryPair}. */
export interface MemoryPairOptions {
  /**
   * Bytes in one direction that the reader has not read, above which `write` waits, such as the
   * socket buffer of a kernel has.
   *
   * @default {65536}
   */
  bufferBytes?: number | undefined;
  /** Name that both addresses show. @default {"memory"} */
  name?: string | undefined;
}

/**
 * Makes two transports that are joined in memory: what one writes the other reads. For tests,
 * benches and processes that talk to themselves.
 *
 * @example
 * ```ts
 * import { memoryPair } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = memoryPair();
 * await a.write(new Uint8Array([1, 2, 3]));
 * assertEquals(await b.read(), new Uint8Array([1, 2, 3]));
 * a.close();
 * assertEquals(await b.read(), null);
 * b.close();
 * ```
 */
export function memoryPair(options: MemoryPairOptions = {}): [Transport, Transport] {
  const { bufferBytes = 65536, name = "memory" } = options;
  const there = new MemoryPipe(bufferBytes);
  const back = new MemoryPipe(bufferBytes);
  return [new MemoryTransport(back, there, name), new MemoryTransport(there, back, name)];
}

/** A chunk does not keep memory alive that is more than so many times as long. */
const MAX_SPARE_SHARE = 4;

/** One direction of a pair. */
class MemoryPipe {
  readonly #bufferBytes: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #signed = true;
  /**
   * Makes the error of later calls. It is made on demand, because after an orderly end mostly no
   * code looks at it.
   */
  #broken: (() => ClosedError) | undefined;
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  #writer: PromiseWithResolvers<void> | undefined;
  /** Memory of a chunk that the reader gave back; the collector may have it. */
  #spare: WeakRef<ArrayBufferLike> | undefined;
  #isSpareFree = false;

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#reader !== undefined) {
      return Promise.reject(new TypeError("Cannot read: another read is under way"));
    }
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#bytes -= chunk.length;
      if (this.#bytes <= this.#bufferBytes) this.#writer?.resolve();
      return Promise.resolve(chunk);
    }
    if (this.#broken !== undefined) return Promise.reject(this.#broken());
    if (this.#ended) return this.#signed ? Promise.resolve(null) : Promise.reject(unsignedEnd());
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#writer !== undefined) throw new TypeError("Cannot write: another write is under way");
    if (this.#broken !== undefined) throw this.#broken();
    if (this.#ended) throw new ClosedError("ERR_CLOSED", "Cannot write: this direction has ended");
    if (bytes.length === 0) return;
    const copy = this.#copy(bytes);
    if (this.#reader !== undefined) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve(copy);
      return;
    }
    this.#chunks.push(copy);
    this.#bytes += copy.length;
    if (this.#bytes <= this.#bufferBytes) return;
    this.#writer = Promise.withResolvers();
    try {
      await this.#writer.promise;
    } finally {
      this.#writer = undefined;
    }
  }

  /** Takes back what was read last and is not kept. */
  reuse({ buffer }: Uint8Array): void {
    if (this.#spare?.deref() !== buffer) this.#spare = new WeakRef(buffer);
    this.#isSpareFree = true;
  }

  #copy(bytes: Uint8Array): Uint8Array {
    const spare = this.#isSpareFree ? this.#spare?.deref() : undefined;
    const isFit = spare !== undefined && spare.byteLength >= bytes.length &&
      spare.byteLength <= bytes.length * MAX_SPARE_SHARE;
    if (!isFit) return new Uint8Array(bytes);
    this.#isSpareFree = false;
    const copy = new Uint8Array(spare, 0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  /** Ends the direction; what was written can still be read. */
  end(signed: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signed = signed;
    if (signed) this.#reader?.resolve(null);
    else this.#reader?.reject(unsignedEnd());
    this.#reader = undefined;
  }

  /** Ends the direction because its reader is closed: drops unread bytes and fails both sides. */
  break(error: () => ClosedError, readerError: () => ClosedError = error): void {
    this.#broken ??= error;
    this.#chunks = [];
    this.#bytes = 0;
    this.#reader?.reject(readerError());
    this.#reader = undefined;
    this.#writer?.reject(error());
  }

  /** Fails a waiting write because its writer is closed. */
  failWriter(): void {
    this.#writer?.reject(closedHere("write"));
  }
}

class MemoryTransport implements Transport {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #in: MemoryPipe;
  readonly #out: MemoryPipe;
  #closed = false;
  #signed = true;

  constructor(incoming: MemoryPipe, outgoing: MemoryPipe, name: string) {
    this.#in = incoming;
    this.#out = outgoing;
    this.localAddr = { transport: "memory", name };
    this.remoteAddr = { transport: "memory", name };
  }

  read(): Promise<Uint8Array | null> {
    return this.#closed ? Promise.reject(closedHere("read")) : this.#in.read();
  }

  reuse(chunk: Uint8Array): void {
    this.#in.reuse(chunk);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#closed ? Promise.reject(closedHere("write")) : this.#out.write(bytes);
  }

  closeWrite(): Promise<void> {
    if (!this.#closed) this.#out.end(this.#signed);
    return Promise.resolve();
  }

  unsign(): void {
    this.#signed = false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#out.failWriter();
    this.#out.end(this.#signed);
    this.#in.break(peerClosed, () => closedHere("read"));
  }

  reset(): void {
    if (this.#closed) return;
    this.#out.failWriter();
    this.#out.break(peerReset);
    this.close();
  }
}

/**
 * Made once, because it ends the current read whenever a transport is closed, where mostly no code
 * looks at it.
 */
const closed: Record<"read" | "write", ClosedError | undefined> = {
  read: undefined,
  write: undefined,
};

function closedHere(what: "read" | "write"): ClosedError {
  return closed[what] ??= new ClosedError(
    "ERR_CLOSED",
    `Cannot ${what}: the connection was closed on this side`,
  );
}

function peerClosed(): ClosedError {
  return new ClosedError("ERR_RESET", "Cannot write: the peer has closed the connection");
}

function peerReset(): ClosedError {
  return new ClosedError("ERR_RESET", "Cannot read: the peer has reset the connection");
}

function unsignedEnd(): ClosedError {
  return new ClosedError(
    "ERR_RESET",
    "Cannot read on: the peer did not end the connection in order",
  );
}
