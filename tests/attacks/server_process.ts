// A server in a process of its own, with what it reports about itself and what the system reports about it.
import { connect, type Connection, type ServeOptions, type ServerStats } from "@parley/parley";
import type { ClientTlsOptions, ServerTlsOptions } from "@parley/parley/tls";
import { text } from "../support/bytes.ts";
import { testCerts } from "../support/programs/certs.ts";
import { descriptorsOf, residentBytesOf } from "../support/programs/process_stats.ts";
import { Program, type ProgramOptions } from "../support/programs/program.ts";
import { until } from "../support/wait.ts";

/** Arguments of server_program.ts. */
export interface ServerSetup {
  /**
   * `echo` answers; `push` and `spill` send without end once they got a message, with and without
   * waiting for each send.
   */
  readonly mode: "echo" | "push" | "spill";
  /** Options of the server that survive JSON. */
  readonly options?: ServeOptions | undefined;
  readonly tls?: ServerTlsOptions | undefined;
}

/** What it reports about itself. */
export interface ServerReport {
  readonly queuedBytes: number;
  readonly heldBytes: number;
  /** Of the connection that has most. */
  readonly maxQueuedBytes: number;
  readonly connectionsNow: number;
  readonly pendingNow: number;
  readonly overall: ServerStats["overall"];
  readonly refusedBy: ServerStats["refusedBy"];
  /** How often onError was called, by phase and code. */
  readonly errors: Readonly<Record<string, number>>;
  /** JavaScript memory after a collection. */
  readonly heapBytes: number;
}

/** The server of one test. Disposing it kills it. */
export class ServerProcess implements AsyncDisposable {
  readonly program: Program;
  readonly port: number;
  readonly #tls: ClientTlsOptions | undefined;

  private constructor(program: Program, port: number, tls: ClientTlsOptions | undefined) {
    this.program = program;
    this.port = port;
    this.#tls = tls;
  }

  /** Starts it and waits until it listens. */
  static async start(
    setup: ServerSetup,
    clientTls?: ClientTlsOptions,
    options: ProgramOptions = {},
  ): Promise<ServerProcess> {
    const flags = ["--v8-flags=--expose-gc", ...options.flags ?? []];
    const program = new Program("tests/attacks/server_program.ts", [JSON.stringify(setup)], {
      ...options,
      flags,
    });
    return new ServerProcess(program, await program.port(), clientTls);
  }

  /** Descriptors that it has open. */
  get descriptors(): number {
    return descriptorsOf(this.program.pid);
  }

  /** Memory that it has in RAM. */
  get residentBytes(): number {
    return residentBytesOf(this.program.pid);
  }

  /** A client as it should be. */
  connect(): Promise<Connection> {
    return connect({ hostname: "localhost", port: this.port, ...this.#tls && { tls: this.#tls } });
  }

  /** Connects, asks, is answered, closes; returns the ms until the answer. */
  async goodRound(): Promise<number> {
    const began = performance.now();
    await using conn = await this.connect();
    await conn.send("a good question");
    const answer = await conn.receive();
    const tookMs = performance.now() - began;
    if (answer === null || text(answer) !== "a good question") {
      throw new Error("It was not answered");
    }
    return tookMs;
  }

  /**
   * Lets it do all once: what it takes to load and compile code may be longer than the deadlines of
   * a test.
   */
  async warmUp(): Promise<void> {
    for (let done = 0; done < 2; done++) {
      await until("it serves", () => this.goodRound().then(() => true, () => false));
    }
  }

  /** Good rounds, one after the other; returns the ms of each. */
  async goodRounds(count: number): Promise<number[]> {
    const times: number[] = [];
    for (let i = 0; i < count; i++) times.push(await this.goodRound());
    return times;
  }

  /** Asks it how it stands. */
  async report(): Promise<ServerReport> {
    await using conn = await this.connect();
    await conn.send("?");
    const answer = await conn.receive();
    if (answer === null) throw new Error("It told nothing");
    return JSON.parse(text(answer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

/** What server and client need to trust each other. */
export async function identities(
  backend: "auto" | "deno" | "node" = "auto",
): Promise<{ server: ServerTlsOptions; client: ClientTlsOptions }> {
  const { ca, server } = await testCerts();
  return { server: { ...server, backend }, client: { caCerts: [ca.cert] } };
}

/** Raw sockets, held open until they are disposed of. */
export class Crowd implements Disposable {
  readonly sockets: Deno.TcpConn[] = [];

  /** Connects `count` sockets at once; those that are refused do not count. */
  async join(
    port: number,
    count: number,
    greet?: (socket: Deno.TcpConn, i: number) => Promise<void>,
  ): Promise<void> {
    await Promise.all(Array.from({ length: count }, async (_, i) => {
      try {
        const socket = await Deno.connect({ hostname: "127.0.0.1", port });
        this.sockets.push(socket);
        await greet?.(socket, i);
      } catch {
        // The server has had enough of it, which is its right.
      }
    }));
  }

  [Symbol.dispose](): void {
    for (const socket of this.sockets.splice(0)) socket.close();
  }
}
