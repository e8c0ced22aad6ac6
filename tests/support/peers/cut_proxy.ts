// CutProxy: a TCP relay for one connection that can end it as networks do: by a bare FIN, or by a reset.
import { once } from "node:events";
import net from "node:net";

/** Sits between a client and a server on loopback. Of node:net, as Deno's sockets cannot be reset. */
export class CutProxy {
  readonly #server = net.createServer({ allowHalfOpen: true });
  #sockets: net.Socket[] = [];

  private constructor(serverPort: number) {
    this.#server.on("connection", (client) => {
      const server = net.connect({ host: "127.0.0.1", port: serverPort, allowHalfOpen: true });
      this.#sockets = [client, server];
      for (const socket of this.#sockets) socket.on("error", () => {});
      client.pipe(server);
      server.pipe(client);
    });
  }

  /** Relays to a port of this machine. */
  static async open(serverPort: number): Promise<CutProxy> {
    const proxy = new CutProxy(serverPort);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** Where the client connects to. */
  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Ends both directions without a word of the protocol inside. */
  fin(): void {
    for (const socket of this.#sockets) socket.end();
  }

  /** Resets both connections. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Frees everything. */
  async close(): Promise<void> {
    const open = this.#sockets.filter((socket) => !socket.closed);
    const closed = [this.#server, ...open].map((one) => once(one, "close"));
    this.#server.close();
    for (const socket of open) socket.destroy();
    await Promise.all(closed);
  }
}
