// SlicedTransport: a transport that cuts what is read at random, and takes a random while for everything.
import type { Address, Transport } from "../../../net/transport/transport.ts";
import { settle } from "./memory_connections.ts";
import type { Random } from "../random.ts";

/** Wraps a transport; bytes stay in order, nothing is lost. */
export class SlicedTransport implements Transport {
  readonly #inner: Transport;
  readonly #random: Random;
  #rest = new Uint8Array(0);

  constructor(inner: Transport, random: Random) {
    this.#inner = inner;
    this.#random = random;
  }

  get localAddr(): Address {
    return this.#inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.#inner.remoteAddr;
  }

  async read(): Promise<Uint8Array | null> {
    await this.#wait();
    if (this.#rest.length === 0) {
      const chunk = await this.#inner.read();
      if (chunk === null) return null;
      this.#rest = new Uint8Array(chunk);
    }
    const size = Math.min(this.#rest.length, 1 + this.#random.length(this.#rest.length));
    const slice = this.#rest.slice(0, size);
    this.#rest = this.#rest.slice(size);
    return slice;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#wait();
    await this.#inner.write(bytes);
    await this.#wait();
  }

  async closeWrite(): Promise<void> {
    await this.#wait();
    await this.#inner.closeWrite();
  }

  close(): void {
    this.#inner.close();
  }

  async #wait(): Promise<void> {
    if (this.#random.chance(0.4)) await settle(this.#random.int(1, 2));
  }
}
