// StreamTransport: two streams of bytes, such as those of a process, as one end of a connection.
import { ClosedError } from "../../errors.ts";
import type { Address, Transport } from "../../net/transport/transport.ts";

const EMPTY = new Uint8Array(0);

/** What a {@linkcode StreamTransport} is made of. */
export interface StreamPair {
  /** How its addresses call it. */
  readonly name: string;
  /** Where bytes come from. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Where bytes go. */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Added behind the last byte that is read, unless it stands there: a text whose last line has no end is no
   * broken one.
   *
   * @default {nothing}
   */
  readonly lastEnd?: Uint8Array | undefined;
}

/** A transport over a pair of streams: with it, a process or a terminal is a peer like any other. */
export class StreamTransport implements Transport {
  /** What the pair was called. */
  readonly localAddr: Address;
  /** What the pair was called. */
  readonly remoteAddr: Address;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lastEnd: Uint8Array;
  /** The last bytes that were read, as many as `lastEnd` has. */
  #tail: Uint8Array = EMPTY;
  #closed = false;

  /** Takes over both streams. */
  constructor({ name, readable, writable, lastEnd = EMPTY }: StreamPair) {
    this.localAddr = this.remoteAddr = { transport: "memory", name };
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.#lastEnd = lastEnd;
  }

  /** Waits for the next bytes; `null` at their end. */
  async read(): Promise<Uint8Array | null> {
    const result = await this.#reader.read().catch((cause) => {
      throw this.#closed ? closedHere("read") : gone("read", cause);
    });
    if (this.#closed) throw closedHere("read");
    if (result.done) return this.#takeLastEnd();
    const { value } = result;
    this.#keepTail(value);
    return value;
  }

  #keepTail(chunk: Uint8Array): void {
    const { length } = this.#lastEnd;
    if (length === 0) return;
    const last = chunk.length < length ? joined(this.#tail, chunk) : chunk;
    this.#tail = last.slice(-length);
  }

  /** What is missing behind the last byte, once; then the end. */
  #takeLastEnd(): Uint8Array | null {
    const missing = this.#tail.length > 0 && !equals(this.#tail, this.#lastEnd);
    this.#tail = EMPTY;
    return missing ? this.#lastEnd : null;
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
    // The reader may have gone before.
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

function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function gone(what: string, cause: unknown): ClosedError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new ClosedError(
    "ERR_RESET",
    `Cannot ${what}: the other side of the pipe has failed${why}`,
    {
      cause,
    },
  );
}

function closedHere(what: string): ClosedError {
  return new ClosedError("ERR_CLOSED", `Cannot ${what}: the stream was closed on this side`);
}
