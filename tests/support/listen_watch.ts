// ListenWatch: does something at the moment at which a process begins to listen, and reports
// whether it still does.
import net from "node:net";

/** Sees every listener of Deno and of node:net while it lives. */
export class ListenWatch implements Disposable {
  readonly #listen = Deno.listen;
  readonly #nodeListen = net.Server.prototype.listen;
  readonly #deno: { close(): void }[] = [];
  readonly #node: net.Server[] = [];

  /** `during` is called once the platform listens, and before who wanted to listen knows. */
  constructor(during: () => void) {
    const [listen, nodeListen, seen, nodeSeen] = [
      this.#listen,
      this.#nodeListen,
      this.#deno,
      this.#node,
    ];
    Deno.listen = ((options: never) => {
      const listener = listen(options) as { close(): void };
      seen.push(listener);
      during();
      return listener;
    }) as typeof Deno.listen;
    net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
      nodeSeen.push(this);
      Reflect.apply(nodeListen, this, args);
      during();
      return this;
    } as typeof nodeListen;
  }

  /** Listeners that were opened. */
  get opened(): number {
    return this.#deno.length + this.#node.length;
  }

  /** Listeners that are still open; they are closed by this. */
  closeOpen(): number {
    let open = 0;
    for (const listener of this.#deno) {
      try {
        listener.close();
        open++;
      } catch {
        // It was closed, as is wanted.
      }
    }
    for (const server of this.#node) {
      if (!server.listening) continue;
      server.close();
      open++;
    }
    return open;
  }

  [Symbol.dispose](): void {
    Deno.listen = this.#listen;
    net.Server.prototype.listen = this.#nodeListen;
  }
}
