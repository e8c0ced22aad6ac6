// WaitingTransport: a connection that is listened to before it is wanted.
import type { Address, Transport } from "../../net/transport/transport.ts";

/**
 * Begins to read at once, and reports when that fails: so a peer that has reset its connection is known while the connection waits for
 * something else. What comes is read on as usual.
 */
export class WaitingTransport implements Transport {
  readonly #inner: Transport;
  #first: Promise<Uint8Array | null> | undefined;

  /** Takes over a connection of which nothing was read. `onBroken` is called at most once, and not after the first `read`. */
  constructor(inner: Transport, onBroken: (error: unknown) => void) {
    this.#inner = inner;
    this.#first = inner.read();
    this.#first.catch((error) => {
      if (this.#first !== undefined) onBroken(error);
    });
  }

  get localAddr(): Address {
    return this.#inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.#inner.remoteAddr;
  }

  read(): Promise<Uint8Array | null> {
    const first = this.#first;
    if (first === undefined) return this.#inner.read();
    this.#first = undefined;
    return first;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#inner.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#inner.close();
  }

  reset(): void {
    if (this.#inner.reset === undefined) this.#inner.close();
    else this.#inner.reset();
  }
}
