// PacedListener: a listener that is asked for no more connections than its owner has room for.
import type { Address, Incoming, Listener } from "../net/transport/transport.ts";

/**
 * Passes on the connections of another listener while there is room; otherwise newcomers wait in
 * the kernel. One call of {@linkcode accept} at a time; all else may be called at any moment.
 */
export class PacedListener implements Listener {
  readonly addr: Address;
  readonly #listener: Listener;
  readonly #hasRoom: () => boolean;
  /** Resolves when there may be room again. */
  #waiting: PromiseWithResolvers<void> | null = null;
  #isClosed = false;

  /**
   * `hasRoom` says whether one more connection may be accepted; it is asked again at each
   * {@linkcode recheck}.
   */
  constructor(listener: Listener, hasRoom: () => boolean) {
    this.addr = listener.addr;
    this.#listener = listener;
    this.#hasRoom = hasRoom;
  }

  async accept(): Promise<Incoming | null> {
    while (!this.#isClosed && !this.#hasRoom()) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    return await this.#listener.accept();
  }

  /** A connection has gone or was taken: there may be room. */
  recheck(): void {
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    this.recheck();
  }

  ref(): void {
    this.#listener.ref();
  }

  unref(): void {
    this.#listener.unref();
  }
}
