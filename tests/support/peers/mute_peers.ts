// Peers that say nothing: one that takes connections, and one whose backlog is full.

/** Takes connections and never says a word. */
export class SilentServer implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns: Deno.Conn[] = [];
  #accepted: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor() {
    void this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** How many connections it has. */
  get connections(): number {
    return this.#conns.length;
  }

  /** Resolves with the next connection. */
  get accepted(): Promise<void> {
    return this.#accepted.promise;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.push(conn);
      this.#accepted.resolve();
      this.#accepted = Promise.withResolvers();
    }
  }
}

/** A listener that accepts nothing, and whose backlog is full: the kernel answers no more attempts. */
export class FullBacklog implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  readonly #conns: Deno.Conn[] = [];
  readonly #pending = new AbortController();

  static async fill(): Promise<FullBacklog> {
    const full = new FullBacklog();
    const { signal } = full.#pending;
    for (let stuck = false; !stuck;) {
      const attempt = Deno.connect({ port: full.port, signal });
      // The kernel connects at once or not at all; on a busy machine one timer may be over before we notice.
      const before = full.#conns.length;
      attempt.then((conn) => full.#conns.push(conn), () => {});
      for (let turn = 0; turn < 10 && full.#conns.length === before; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      stuck = full.#conns.length === before;
    }
    return full;
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#pending.abort();
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
    await Promise.resolve();
  }
}
