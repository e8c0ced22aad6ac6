// FreezingProxy: brings connections to a port until it is frozen; then bytes are swallowed, as on a
// dead link.
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import type { Listener, Transport } from "../../../net/transport/transport.ts";

/** A proxy whose links can be made to die without a word. */
export class FreezingProxy implements AsyncDisposable {
  readonly #listener: Listener;
  readonly #target: { hostname: string; port: number };
  readonly #transports = new Set<Transport>();
  readonly #running: Promise<void>[] = [];
  #frozen = false;

  constructor(listener: Listener, target: { hostname: string; port: number }) {
    this.#listener = listener;
    this.#target = target;
    this.#running.push(this.#accept());
  }

  static async start(target: { hostname: string; port: number }): Promise<FreezingProxy> {
    return new FreezingProxy(await listen({ port: 0 }), target);
  }

  get port(): number {
    const { addr } = this.#listener;
    return addr.transport === "tcp" ? addr.port : 0;
  }

  /** From now on every byte is lost. */
  freeze(): void {
    this.#frozen = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const transport of this.#transports) transport.close();
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    const { signal } = new AbortController();
    for (
      let next = await this.#listener.accept();
      next !== null;
      next = await this.#listener.accept()
    ) {
      const near = await next.open({ signal });
      const far = await dial(this.#target, { signal });
      this.#transports.add(near).add(far);
      this.#running.push(this.#copy(near, far), this.#copy(far, near));
    }
  }

  async #copy(from: Transport, to: Transport): Promise<void> {
    try {
      for (let chunk = await from.read(); chunk !== null; chunk = await from.read()) {
        if (!this.#frozen) await to.write(chunk);
      }
    } catch {
      // Either side is gone.
    }
    from.close();
    to.close();
  }
}
