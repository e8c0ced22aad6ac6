// TappedTransport: a transport that shows what passes it, and may make the way in longer.
import type { Address, Transport } from "../../../net/transport/transport.ts";

/** Whose bytes they are: of the session above this transport, or of the far side. */
export type Party = "ours" | "theirs";

/** How a {@linkcode TappedTransport} works. */
export interface TapOptions {
  /** Called with everything that passes, in the order in which it does. */
  readonly onBytes?: ((from: Party, bytes: Uint8Array) => void) | undefined;
  /** Time in ms that what comes is held back, without slowing the flow. @default {0} */
  readonly delayMs?: number | undefined;
}

/** What came, and when it may be seen. */
interface Arrival {
  readonly chunk: Uint8Array | null;
  readonly dueMs: number;
}

/** Stands between a session and its transport. */
export class TappedTransport implements Transport {
  readonly #inner: Transport;
  readonly #options: TapOptions;
  readonly #waits = new Set<() => void>();
  #arrivals: Promise<Arrival>[] = [];
  #closed = false;

  constructor(inner: Transport, options: TapOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  get localAddr(): Address {
    return this.#inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.#inner.remoteAddr;
  }

  async read(): Promise<Uint8Array | null> {
    const chunk = await this.#delayed();
    if (chunk !== null) this.#options.onBytes?.("theirs", chunk);
    return chunk;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#options.onBytes?.("ours", bytes.slice());
    await this.#inner.write(bytes);
  }

  /** Writes bytes that the session knows nothing of. */
  async inject(bytes: Uint8Array): Promise<void> {
    await this.#inner.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#waits) end();
    this.#inner.close();
  }

  async #delayed(): Promise<Uint8Array | null> {
    const { delayMs = 0 } = this.#options;
    if (delayMs === 0) return await this.#inner.read();
    // A few reads are ahead, so that the delay adds to the round trip and takes little from the rate.
    while (this.#arrivals.length < 64) {
      this.#arrivals.push(this.#arrival(this.#arrivals.at(-1), delayMs));
    }
    const { chunk, dueMs } = await this.#arrivals.shift()!;
    await this.#until(dueMs);
    return chunk;
  }

  async #arrival(before: Promise<Arrival> | undefined, delayMs: number): Promise<Arrival> {
    if (before !== undefined && (await before).chunk === null) return { chunk: null, dueMs: 0 };
    const chunk = await this.#inner.read().catch(() => null);
    return { chunk, dueMs: performance.now() + delayMs };
  }

  #until(dueMs: number): Promise<void> {
    const leftMs = dueMs - performance.now();
    if (leftMs <= 0 || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waits.delete(end);
        resolve();
      };
      const timer = setTimeout(end, leftMs);
      this.#waits.add(end);
    });
  }
}
