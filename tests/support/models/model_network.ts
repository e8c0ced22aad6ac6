// ModelNetwork: puts simulated links behind Deno.connect and Deno.listen, so that whole programs run under a
// test's clock.
import {
  type ModelLink,
  modelLink,
  type ModelLinkOptions,
  type ModelTransport,
} from "./model_link.ts";

type Listening = { readonly accept: (conn: Deno.TcpConn) => void };

/** A network in memory for the whole process, until it is disposed. One at a time. */
export class ModelNetwork implements Disposable {
  /** Links that were made, the oldest first. */
  readonly links: ModelLink[] = [];
  readonly #options: ModelLinkOptions;
  readonly #listeners = new Map<number, Listening>();
  readonly #before = { connect: Deno.connect, listen: Deno.listen };
  #nextPort = 20_000;

  constructor(options: ModelLinkOptions) {
    this.#options = options;
    Object.assign(Deno, {
      connect: (target: { port: number }) => this.#connect(target.port),
      listen: (target: { port: number }) => this.#listen(target.port),
    });
  }

  [Symbol.dispose](): void {
    Object.assign(Deno, this.#before);
  }

  async #connect(port: number): Promise<Deno.TcpConn> {
    const { clock, latencyMs = 1 } = this.#options;
    await new Promise<void>((resolve) => clock.after(2 * latencyMs, resolve));
    const listening = this.#listeners.get(port);
    if (listening === undefined) {
      throw new Deno.errors.ConnectionRefused("No program listens there");
    }
    const link = modelLink(this.#options);
    this.links.push(link);
    const [near, far] = [this.#nextPort++, port];
    listening.accept(new ModelConn(link.right, far, near));
    return new ModelConn(link.left, near, far);
  }

  #listen(wanted: number): Deno.TcpListener {
    const port = wanted === 0 ? this.#nextPort++ : wanted;
    const waiting: Deno.TcpConn[] = [];
    let acceptor: PromiseWithResolvers<Deno.TcpConn> | undefined;
    this.#listeners.set(port, {
      accept(conn) {
        if (acceptor === undefined) return void waiting.push(conn);
        acceptor.resolve(conn);
        acceptor = undefined;
      },
    });
    const listener = {
      addr: { transport: "tcp" as const, hostname: "127.0.0.1", port },
      accept(): Promise<Deno.TcpConn> {
        const conn = waiting.shift();
        if (conn !== undefined) return Promise.resolve(conn);
        acceptor = Promise.withResolvers();
        return acceptor.promise;
      },
      close: () => {
        this.#listeners.delete(port);
        acceptor?.reject(new Deno.errors.BadResource("The listener was closed"));
        acceptor = undefined;
      },
      ref() {},
      unref() {},
    };
    return listener as unknown as Deno.TcpListener;
  }
}

/** One end of a link as a socket of the platform. */
class ModelConn implements Deno.TcpConn {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #transport: ModelTransport;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(transport: ModelTransport, localPort: number, remotePort: number) {
    this.#transport = transport;
    this.localAddr = { transport: "tcp", hostname: "127.0.0.1", port: localPort };
    this.remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: remotePort };
  }

  async read(target: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      const chunk = await this.#transport.read();
      if (chunk === null) return null;
      this.#rest = chunk;
    }
    const length = Math.min(target.length, this.#rest.length);
    target.set(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#transport.write(bytes);
    return bytes.length;
  }

  async closeWrite(): Promise<void> {
    await this.#transport.closeWrite();
  }

  close(): void {
    this.#transport.close();
  }

  get readable(): never {
    throw new TypeError("Not simulated");
  }

  get writable(): never {
    throw new TypeError("Not simulated");
  }

  setNoDelay(): void {}
  setKeepAlive(): void {}
  ref(): void {}
  unref(): void {}

  [Symbol.dispose](): void {
    this.close();
  }
}
