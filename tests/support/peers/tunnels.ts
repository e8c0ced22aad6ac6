// Local ends of tunnels for tests: targets to be exposed, and clients that come to a forward.
import type { Forward } from "@parley/parley/wire";
import { dial, type DialTarget } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import type { Listener, Transport } from "../../../net/transport/transport.ts";

/** A local server that answers the whole request, once it has ended, in upper case. */
export class UpperServer implements AsyncDisposable {
  readonly #listener: Listener;
  readonly #running: Promise<void>[] = [];
  readonly #open = new Set<Transport>();
  /** Bytes that came, over all connections. */
  receivedBytes = 0;

  /** Takes over a listener. */
  constructor(listener: Listener) {
    this.#listener = listener;
    this.#running.push(this.#accept());
  }

  /** Listens on a free port. */
  static async start(): Promise<UpperServer> {
    return new UpperServer(await listen({ port: 0 }));
  }

  /** The port that it has. */
  get port(): number {
    return portOf(this.#listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const transport of this.#open) transport.close();
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for (
      let next = await this.#listener.accept();
      next !== null;
      next = await this.#listener.accept()
    ) {
      this.#running.push(this.#serve(await next.open({ signal: new AbortController().signal })));
    }
  }

  async #serve(transport: Transport): Promise<void> {
    this.#open.add(transport);
    try {
      const text = await readAll({
        read: async () => {
          const chunk = await transport.read();
          this.receivedBytes += chunk?.length ?? 0;
          return chunk;
        },
      });
      await transport.write(new TextEncoder().encode(text.toUpperCase()));
      await transport.closeWrite();
    } catch {
      // Cut by the other side.
    }
    transport.close();
    this.#open.delete(transport);
  }
}

/** The port that a listener or a forward has. */
export function portOf({ addr }: Listener | Forward): number {
  return addr.transport === "tcp" ? addr.port : 0;
}

/** The rest of a connection as text. */
export async function readAll(transport: Pick<Transport, "read">): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let chunk = await transport.read(); chunk !== null; chunk = await transport.read()) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

/** Asks an {@linkcode UpperServer} at this port, or through a tunnel from there. */
export async function ask(port: number, question: string): Promise<string> {
  return await askAt({ port }, question);
}

/** The same, at any address. */
export async function askAt(target: DialTarget, question: string): Promise<string> {
  const transport = await dial(target, { signal: new AbortController().signal });
  try {
    await transport.write(new TextEncoder().encode(question));
    await transport.closeWrite();
    return await readAll(transport);
  } finally {
    transport.close();
  }
}

/** Connects to a forward; the connection can be reset. */
export async function dialLocal(tunnel: Forward): Promise<Transport> {
  return await dial({ port: portOf(tunnel) }, {
    signal: new AbortController().signal,
    canReset: true,
  });
}

/** A local server whose connections are at the test's hands; they can be reset. */
export class HeldTarget implements Disposable {
  readonly #listener: Listener;
  readonly #held: Transport[] = [];

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** Listens on a free port. */
  static async start(): Promise<HeldTarget> {
    return new HeldTarget(await listen({ port: 0 }, { canReset: true }));
  }

  /** The port that it has. */
  get port(): number {
    return portOf(this.#listener);
  }

  /** The next connection. */
  async accept(): Promise<Transport> {
    const incoming = await this.#listener.accept();
    const transport = await incoming!.open({ signal: new AbortController().signal });
    this.#held.push(transport);
    return transport;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const transport of this.#held) transport.close();
  }
}
