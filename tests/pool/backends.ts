// Backends for tests: servers that answer with their name, and misbehave on a command.
import {
  type Connection,
  type Handler,
  serve,
  type ServeOptions,
  type Server,
} from "@parley/parley";
import { type BackendStats, Pool, type PoolOptions } from "@parley/parley/pool";
import { text } from "../support/bytes.ts";
import { lines } from "../support/peers/servers.ts";
import { until as untilTrue } from "../support/wait.ts";

/** A server that answers `question` with `name question`. Disposing it closes it at once. */
export class TestBackend implements AsyncDisposable {
  readonly name: string;
  readonly server: Server;
  /** Questions that came. */
  questions = 0;
  /** How each connection ended: the code of its error, or "in order". */
  readonly ends: string[] = [];

  constructor(name: string, handler: Handler | null, options: ServeOptions) {
    this.name = name;
    const answer: Handler = async (conn) => {
      for await (const question of conn) {
        this.questions++;
        await conn.send(`${name} ${text(question)}`);
      }
    };
    this.server = serve({
      ...lines,
      onDisconnect: (_conn, { error }) =>
        this.ends.push(error === null ? "in order" : `${error.message}`),
      onError: () => {},
      ...options,
    }, handler ?? answer);
  }

  /** What to give to a pool. */
  get backend(): { name: string; hostname: string; port: number } {
    const { addr } = this.server;
    if (addr.transport !== "tcp") throw new TypeError("Not a TCP server");
    return { name: this.name, hostname: "127.0.0.1", port: addr.port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.abort();
    await this.server.finished;
  }
}

/** Starts a backend. */
export async function backendOf(
  name: string,
  handler: Handler | null = null,
  options: ServeOptions = {},
): Promise<TestBackend> {
  const backend = new TestBackend(name, handler, options);
  await backend.server.ready;
  return backend;
}

/** A port on which no program listens. */
export function deadPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** A pool of lines over these backends. */
export function poolOf(backends: readonly TestBackend[], options: Partial<PoolOptions> = {}): Pool {
  return new Pool({
    ...lines,
    onError: () => {},
    backends: backends.map(({ backend }) => backend),
    ...options,
  });
}

/** Asks on a connection, and returns the answer. */
export async function question(conn: Connection, what: string): Promise<string> {
  await conn.send(what);
  const answer = await conn.receive({ timeoutMs: 5000 });
  return answer === null ? "nothing" : text(answer);
}

/** Leases, asks, and returns the connection back. */
export async function askOnce(pool: Pool, what: string): Promise<string> {
  await using lease = await pool.acquire();
  return await question(lease.conn, what);
}

/** What the pool knows of a backend. */
export function statsOf(pool: Pool, name: string): BackendStats {
  const stats = pool.stats().backends.find((backend) => backend.name === name);
  if (stats === undefined) throw new Error(`No backend "${name}"`);
  return stats;
}

/** Resolves when `check` holds; fails after `timeoutMs`, the usual patience by default. */
export function until(check: () => boolean, timeoutMs?: number): Promise<void> {
  return untilTrue(`${check}`, check, timeoutMs);
}
