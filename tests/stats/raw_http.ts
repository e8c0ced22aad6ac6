// HTTP by hand, for requests that no client would send.
import type { StatsPage } from "@parley/parley/stats";

/** The port of a page. */
export function portOf({ addr }: StatsPage): number {
  if (addr.transport !== "tcp") throw new Error("The page has no port");
  return addr.port;
}

/** A connection to a page. */
export class RawHttp implements Disposable {
  readonly #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Connects, and sends a text as it is. */
  static async send(page: StatsPage, text: string): Promise<RawHttp> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: portOf(page) });
    await conn.write(new TextEncoder().encode(text)).catch(() => {});
    return new RawHttp(conn);
  }

  /** Sends a text, and returns all that comes until the page ends the connection. */
  static async ask(page: StatsPage, text: string): Promise<string> {
    using http = await RawHttp.send(page, text);
    return await http.rest();
  }

  /** All that comes until the page ends the connection. */
  async rest(): Promise<string> {
    let text = "";
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    try {
      for (
        let count = await this.#conn.read(buffer);
        count !== null;
        count = await this.#conn.read(buffer)
      ) {
        text += decoder.decode(buffer.subarray(0, count), { stream: true });
      }
    } catch {
      // It was cut.
    }
    return text;
  }

  [Symbol.dispose](): void {
    try {
      this.#conn.close();
    } catch {
      // It is closed.
    }
  }
}
