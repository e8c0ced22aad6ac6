// ReadLimitedTransport: lets a stranger send only so much until it is known.
import { ClosedError } from "../../errors.ts";
import { FIRST_BYTES } from "../../net/transport/first_bytes.ts";
import type { Address, SocketTuning, TlsInfo, Transport } from "../../net/transport/transport.ts";

/** What a stranger may send: a HELLO of 16 KiB with its headers, and a read's worth more. */
const STRANGER_BYTES = 32 * 1024;

/**
 * A transport that stops reading after 32 KiB until {@linkcode liftLimit} is called. What a
 * stranger sends beyond waits in the kernel.
 */
export class ReadLimitedTransport implements Transport {
  readonly #inner: Transport;
  #left = STRANGER_BYTES;
  #gate: PromiseWithResolvers<void> | undefined = Promise.withResolvers();
  #first: Uint8Array = new Uint8Array(0);

  constructor(inner: Transport) {
    this.#inner = inner;
    this.#gate?.promise.catch(() => {});
  }

  get localAddr(): Address {
    return this.#inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.#inner.remoteAddr;
  }

  get tls(): TlsInfo | undefined {
    return this.#inner.tls;
  }

  /** The first few bytes that came: they show which protocol a stranger speaks. */
  get firstBytes(): Uint8Array {
    return this.#first;
  }

  /** The peer is known: read on without a limit. */
  liftLimit(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#gate !== undefined && this.#left <= 0) await this.#gate.promise;
    const chunk = await this.#inner.read();
    if (this.#gate === undefined || chunk === null) return chunk;
    this.#left -= chunk.length;
    if (this.#first.length < FIRST_BYTES) {
      this.#first = new Uint8Array([
        ...this.#first,
        ...chunk.subarray(0, FIRST_BYTES - this.#first.length),
      ]);
    }
    return chunk;
  }

  reuse(chunk: Uint8Array): void {
    this.#inner.reuse?.(chunk);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#inner.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#gate?.reject(
      new ClosedError("ERR_CLOSED", "Cannot read: the connection was closed on this side"),
    );
    this.#inner.close();
  }

  tune(tuning: SocketTuning): void {
    this.#inner.tune?.(tuning);
  }
}
