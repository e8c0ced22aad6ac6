// StreamTransport: two streams of bytes, such as those of a process, as one end of a connection.
import { ClosedError } from "../errors.ts";
import type { Address, Transport } from "../net/transport.ts";

/** What a {@linkcode StreamTransport} is made of. */
export interface StreamPair {
  /** How its addresses call it. */
  readonly name: string;
  /** Where bytes come from. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Where bytes go. */
  readonly writable: WritableStream<Uint8Array>;
}

/** A transport over a pair of streams: with it, a process or a terminal is a peer like any other. */
export class StreamTransport implements Transport {
  /** What the pair was called. */
  readonly localAddr: Address;
  /** What the pair was called. */
  readonly remoteAddr: Address;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #closed = false;

  /** Takes over both streams. */
  constructor({ name, readable, writable }: StreamPair) {
    this.localAddr = this.remoteAddr = { transport: "memory", name };
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  /** Waits for the next bytes; `null` at their end. */
  async read(): Promise<Uint8Array | null> {
    const result = await this.#reader.read().catch((cause) => {
      throw this.#closed ? closedHere("read") : gone("read", cause);
    });
    if (this.#closed) throw closedHere("read");
    return result.done ? null : result.value;
  }

  /** Writes all of `bytes`; resolves when the kernel has them. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw closedHere("write");
    await this.#writer.write(bytes).catch((cause) => {
      throw this.#closed ? closedHere("write") : gone("write", cause);
    });
  }

  /** Ends what is written. */
  async closeWrite(): Promise<void> {
    // Whoever reads may have gone before.
    await this.#writer.close().catch(() => {});
  }

  /** Lets go of both streams. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.cancel().catch(() => {});
    this.#writer.abort().catch(() => {});
  }
}

function gone(what: string, cause: unknown): ClosedError {
  return new ClosedError("ERR_RESET", `Cannot ${what} as the other side has gone`, { cause });
}

function closedHere(what: string): ClosedError {
  return new ClosedError("ERR_CLOSED", `Cannot ${what} as the stream was closed on this side`);
}
