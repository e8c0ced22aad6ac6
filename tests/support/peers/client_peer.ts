// ClientPeer: the server of a Client under test; it can go away and come back on the same port.
import {
  Client,
  type ClientOptions,
  type ClientStatusEvent,
  type Connection,
  type ReconnectOptions,
  serve,
  type ServeOptions,
  type Server,
} from "@parley/parley";
import { text } from "../bytes.ts";
import { codeOf, lines } from "./servers.ts";
import { settles, until } from "../wait.ts";

/** Takes connections, which the test asks for one after the other. */
export class ClientPeer implements AsyncDisposable {
  readonly #options: ServeOptions;
  #server: Server | null = null;
  #port = 0;
  /** Links that the test has not asked for yet, and asks without a link. */
  #links: Connection[] = [];
  #asks: ((link: Connection) => void)[] = [];

  private constructor(options: ServeOptions) {
    this.#options = options;
  }

  /** Listens on a free port. */
  static async start(options: ServeOptions = {}): Promise<ClientPeer> {
    const peer = new ClientPeer(options);
    await peer.listen();
    return peer;
  }

  /** Port that it listens on, or did. */
  get port(): number {
    return this.#port;
  }

  /** Connections opened so far since it last began to listen. */
  get opened(): number {
    return this.#server?.stats().overall.connectionsOpened ?? 0;
  }

  /**
   * Listens, on the same port as before: again when another connection of this machine has it for a
   * moment.
   */
  async listen(): Promise<void> {
    await until("the port is free", async () => {
      const error = await this.#listen().catch((error) => error);
      if (error !== undefined && codeOf(error) !== "ERR_ADDRESS_IN_USE") throw error;
      return error === undefined;
    });
  }

  async #listen(): Promise<void> {
    const server = serve(
      { ...lines, onError: () => {}, ...this.#options, port: this.#port },
      async (link) => {
        const ask = this.#asks.shift();
        if (ask === undefined) this.#links.push(link);
        else ask(link);
        // Then the server closes its end: what was received can still be read.
        await link.inputEnded;
      },
    );
    await server.ready;
    this.#server = server;
    if (server.addr.transport === "tcp") this.#port = server.addr.port;
  }

  /** The next link that a client opens. */
  link(): Promise<Connection> {
    const link = this.#links.shift();
    if (link !== undefined) return Promise.resolve(link);
    return new Promise((resolve) => this.#asks.push(resolve));
  }

  /** Goes away at once, with all its links. */
  async stop(): Promise<void> {
    this.#server?.abort();
    await this.#server?.finished;
    this.#links = [];
  }

  /** The same as {@linkcode stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Dials again soon. */
export const soon: ReconnectOptions = { minDelayMs: 1, maxDelayMs: 4 };

/** A client of that peer that dials again soon; `options` come on top. */
export function clientOf(peer: ClientPeer, options: Partial<ClientOptions> = {}): Client {
  return new Client({ port: peer.port, ...lines, reconnect: soon, ...options });
}

/** The next event of this status. */
export async function next(
  statuses: AsyncIterator<ClientStatusEvent, undefined>,
  status: ClientStatusEvent["status"],
): Promise<ClientStatusEvent> {
  for (;;) {
    const { value } = await settles(`status ${status}`, statuses.next());
    if (value === undefined) throw new Error(`No status ${status} came`);
    if (value.status === status) return value;
  }
}

/** The next message as text, `null` at the end. */
export async function take(client: Client): Promise<string | null> {
  const message = await settles("a message", client.receive());
  return message === null ? null : text(message);
}
