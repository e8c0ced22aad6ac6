// ModelSocket: the program at one end of a tunnel, which knows nothing but its socket.
import { ClosedError } from "../../../errors.ts";
import type { ModelStream } from "./model_actor.ts";
import type { ModelTransport } from "./model_link.ts";

/** A socket as an actor uses it. */
export class ModelSocket implements ModelStream {
  readonly id = 0;
  readonly closed: Promise<Error | undefined>;
  readonly #transport: ModelTransport;
  readonly #closing = Promise.withResolvers<Error | undefined>();
  #hasEnded = false;
  #hasRead = false;

  constructor(transport: ModelTransport) {
    this.#transport = transport;
    this.closed = this.#closing.promise;
  }

  async read(): Promise<Uint8Array | null> {
    const chunk = await this.#try(() => this.#transport.read());
    if (chunk === null) {
      this.#hasRead = true;
      this.#checkOver();
    }
    return chunk;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#try(() => this.#transport.write(bytes));
  }

  async closeWrite(): Promise<void> {
    await this.#try(() => this.#transport.closeWrite());
    this.#hasEnded = true;
    this.#checkOver();
  }

  /** Both directions at once, as programs do: what comes from then on is answered with a reset. */
  close(): Promise<void> {
    this.#transport.close();
    this.#closing.resolve(undefined);
    return Promise.resolve();
  }

  abort(): void {
    this.#transport.reset();
    this.#closing.resolve(new ClosedError("ERR_RESET", "The socket was reset on this side"));
  }

  async #try<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#closing.resolve(error as Error);
      throw error;
    }
  }

  #checkOver(): void {
    if (!this.#hasEnded || !this.#hasRead) return;
    this.#closing.resolve(undefined);
    // The descriptor goes when both directions are through.
    this.#transport.close();
  }
}
