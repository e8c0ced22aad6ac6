// CutProxy: a TCP relay for one connection that can end it as networks do: by a bare FIN, or by a reset.
import { until } from "./wait.ts";

/** Sits between a client and a server on loopback. */
export class CutProxy {
  /** Where the client connects to. */
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #served: Promise<void>;
  #client: Deno.TcpConn | undefined;
  #server: Deno.TcpConn | undefined;
  #frozen = false;

  /** Relays to a port of this machine. */
  constructor(serverPort: number) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#served = this.#serve(serverPort);
  }

  /** Ends both directions without a word of the protocol inside. */
  async fin(): Promise<void> {
    this.#frozen = true;
    await this.#client?.closeWrite().catch(() => {});
    await this.#server?.closeWrite().catch(() => {});
  }

  /** Resets both connections. Bytes must be on their way from both ends: closing with unread bytes resets. */
  reset(): void {
    this.#client?.close();
    this.#server?.close();
  }

  /** Relays nothing from now on; what comes stays unread in the kernel. */
  freeze(): void {
    this.#frozen = true;
  }

  /** Frees everything. */
  async close(): Promise<void> {
    for (const closable of [this.#listener, this.#client, this.#server]) {
      try {
        closable?.close();
      } catch {
        // Closed already.
      }
    }
    await this.#served;
  }

  async #serve(serverPort: number): Promise<void> {
    try {
      this.#client = await this.#listener.accept();
      this.#server = await Deno.connect({ hostname: "127.0.0.1", port: serverPort });
    } catch {
      return;
    }
    await Promise.all([this.#relay(this.#client, this.#server), this.#relay(this.#server, this.#client)]);
  }

  async #relay(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      while (!this.#frozen) {
        const length = await from.read(buffer);
        if (length === null) return await to.closeWrite();
        for (let at = 0; at < length;) at += await to.write(buffer.subarray(at, length));
      }
    } catch {
      // One end is gone; the other is ended by the test.
    }
  }
}

/** Waits until bytes can be lying unread at a frozen proxy: one event loop turn more than loopback needs. */
export async function untilDelivered(): Promise<void> {
  const start = performance.now();
  await until("bytes cross loopback", () => performance.now() - start > 30);
}
