// RenewableListener: stays one listener for its callers when the socket behind it is bound anew.
import type { Address, Incoming, Listener } from "../../net/transport/transport.ts";

/** Keeps the process alive while there is no socket. */
const FOREVER_MS = 2 ** 30;

/**
 * A listener whose socket can be replaced while an `accept` waits. The platform removes the file of
 * a socket that it closes as soon as no `accept` waits on it, whosever file is at the path by then:
 * so nothing is bound or given free before that.
 */
export class RenewableListener implements Listener {
  readonly addr: Address;
  /** `null` from the closing of one socket to the binding of the next. */
  #current: Listener | null;
  #renewed: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Set while an `accept` waits on a socket. */
  #accepting: PromiseWithResolvers<void> | null = null;
  #onClosed: (() => void) | null = null;
  #isClosed = false;
  #isRef = true;

  /** Takes over a listener. */
  constructor(first: Listener) {
    this.addr = first.addr;
    this.#current = first;
  }

  /**
   * Closes the socket, and accepts from what `bind` makes. When that fails nothing is accepted
   * until the next call.
   */
  async renew(bind: () => Promise<Listener>): Promise<void> {
    this.#current?.close();
    this.#current = null;
    await this.#accepting?.promise;
    const next = await bind();
    if (this.#isClosed) return next.close();
    if (!this.#isRef) next.unref();
    this.#current = next;
    this.#renewed.resolve();
    this.#renewed = Promise.withResolvers();
  }

  async accept(): Promise<Incoming | null> {
    while (!this.#isClosed) {
      const from = this.#current;
      if (from === null) {
        await this.#waitForRenewal();
        continue;
      }
      const incoming = await this.#acceptFrom(from);
      if (incoming !== null || from === this.#current) return incoming;
    }
    return null;
  }

  /**
   * @param onClosed called once the platform has let go of the path: now, or when the `accept` that
   * waits has ended
   */
  close(onClosed?: () => void): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#current?.close();
    this.#renewed.resolve();
    if (this.#accepting === null) onClosed?.();
    else this.#onClosed = onClosed ?? null;
  }

  ref(): void {
    this.#isRef = true;
    this.#current?.ref();
  }

  unref(): void {
    this.#isRef = false;
    this.#current?.unref();
  }

  async #acceptFrom(from: Listener): Promise<Incoming | null> {
    const accepting = this.#accepting = Promise.withResolvers<void>();
    try {
      return await from.accept();
    } finally {
      this.#accepting = null;
      accepting.resolve();
      this.#onClosed?.();
      this.#onClosed = null;
    }
  }

  async #waitForRenewal(): Promise<void> {
    const timer = setInterval(() => {}, FOREVER_MS);
    if (!this.#isRef) Deno.unrefTimer(timer);
    await this.#renewed.promise;
    clearInterval(timer);
  }
}
