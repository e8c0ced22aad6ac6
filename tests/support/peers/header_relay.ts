// HeaderRelay: a balancer of a few lines: it puts a PROXY header before what a client sends, at
// once or together with its first bytes.
import { once } from "node:events";
import net from "node:net";
import type { Address } from "../../../net/transport/transport.ts";

/** Listens on a port of its own; disposing it ends all that goes through it. */
export class HeaderRelay implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /**
   * Stands before `target`.
   *
   * @param together Whether the header waits for the client's first bytes, and goes in one write with them
   */
  static async open(
    target: Address,
    header: Uint8Array,
    { together = false }: { together?: boolean } = {},
  ): Promise<HeaderRelay> {
    const server = net.createServer({ allowHalfOpen: true });
    const relay = new HeaderRelay(server);
    server.on("connection", (client) => relay.#carry(client, target, header, together));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return relay;
  }

  /** Where clients connect to. */
  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  #carry(client: net.Socket, target: Address, header: Uint8Array, together: boolean): void {
    const server = target.transport === "unix"
      ? net.connect({ path: target.path, allowHalfOpen: true })
      : net.connect({
        port: (target as Deno.NetAddr).port,
        host: "127.0.0.1",
        allowHalfOpen: true,
      });
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.on("end", () => other.end());
    }
    let isFirst = together;
    if (!together) server.write(header);
    client.on("data", (bytes) => {
      server.write(isFirst ? new Uint8Array([...header, ...bytes as Uint8Array]) : bytes);
      isFirst = false;
    });
    server.on("data", (bytes) => void client.write(bytes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
