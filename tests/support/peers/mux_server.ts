// MuxServer: sessions over TCP, and what hostile peers of theirs must not do to the others.
import { assertEquals } from "@std/assert";
import { MuxMemory, MuxSession, type MuxSessionOptions } from "@parley/parley/mux";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import type { Listener, Transport } from "../../../net/transport/transport.ts";
import { RawPeer } from "./raw_mux.ts";
import { servedWhile } from "./served.ts";
import { until } from "../wait.ts";

/** A server of sessions, which accepts no stream by itself; all share one budget of memory. */
export class MuxServer implements AsyncDisposable {
  readonly memory: MuxMemory;
  readonly sessions: MuxSession[] = [];
  readonly #listener: Listener;
  readonly #options: Partial<MuxSessionOptions>;
  readonly #accepting: Promise<void>;

  private constructor(listener: Listener, options: Partial<MuxSessionOptions>) {
    this.#listener = listener;
    this.#options = options;
    this.memory = options.memory ?? new MuxMemory();
    this.#accepting = this.#accept();
  }

  static async start(options: Partial<MuxSessionOptions> = {}): Promise<MuxServer> {
    return new MuxServer(await listen({ port: 0 }), options);
  }

  /** A connection to it, and the session on its other side. */
  async connect(): Promise<[Transport, MuxSession]> {
    const port = this.#listener.addr.transport === "tcp" ? this.#listener.addr.port : 0;
    const count = this.sessions.length;
    const transport = await dial({ port }, { signal: new AbortController().signal });
    await until("the session begins", () => this.sessions.length > count);
    return [transport, this.sessions[count] as MuxSession];
  }

  /** A peer that scripts its frames, and the session that it attacks. */
  async attack(): Promise<[RawPeer, MuxSession]> {
    const [transport, session] = await this.connect();
    return [new RawPeer(transport), session];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const session of this.sessions) session.abort();
    await Promise.all(this.sessions.map((session) => session.closed));
  }

  async #accept(): Promise<void> {
    const { signal } = new AbortController();
    for (
      let next = await this.#listener.accept();
      next !== null;
      next = await this.#listener.accept()
    ) {
      const transport = await next.open({ signal });
      const { memory } = this;
      this.sessions.push(
        new MuxSession(transport, { keepAliveMs: 0, ...this.#options, memory, role: "server" }),
      );
    }
  }
}

/**
 * Runs `attack`, which ends with its connection closed, beside a session in good order, which must
 * be served all the time; see {@linkcode servedWhile}. Then the accounts of memory must be empty
 * (stalled_memory_test.ts measures resident memory).
 */
export async function besideOthers(server: MuxServer, attack: () => Promise<void>): Promise<void> {
  const [transport, served] = await server.connect();
  const client = new MuxSession(transport, { role: "client", keepAliveMs: 0 });
  await servedWhile(() => client.ping(), attack);
  assertEquals([server.memory.usedBytes, server.memory.grownBytes, served.status], [0, 0, "open"]);
  client.abort();
  await client.closed;
}
