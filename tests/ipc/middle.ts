// Middle: a man in the middle between two processes, which sees whole handshake messages and
// records and may change them.

/**
 * What is done with a unit: passed on changed, in several pieces, not at all, or the line is cut
 * (`null`).
 */
export type Change = (unit: Uint8Array, index: number) => Uint8Array | readonly Uint8Array[] | null;

/** What is done in each direction. */
export interface Plan {
  readonly client?: Change | undefined;
  readonly server?: Change | undefined;
}

/** Listens at `path` and passes on to `target`. */
export class Middle implements AsyncDisposable {
  readonly path: string;
  readonly #listener: Deno.UnixListener;
  readonly #conns = new Set<Deno.UnixConn>();
  readonly #running: Promise<void>;
  /** Bytes that the server sent, over all connections. */
  fromServerBytes = 0;
  /** Connections passed on. */
  connections = 0;

  constructor(path: string, target: string, plan: Plan) {
    this.path = path;
    this.#listener = Deno.listen({ transport: "unix", path });
    Deno.chmodSync(path, 0o600);
    this.#running = this.#run(target, plan);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
  }

  async #run(target: string, plan: Plan): Promise<void> {
    const lines: Promise<void>[] = [];
    try {
      for await (const client of this.#listener) {
        lines.push(this.#pass(client as Deno.UnixConn, target, plan));
      }
    } catch {
      // The listener was closed.
    }
    for (const conn of this.#conns) closeQuietly(conn);
    await Promise.all(lines);
  }

  async #pass(client: Deno.UnixConn, target: string, plan: Plan): Promise<void> {
    const server = await Deno.connect({ transport: "unix", path: target });
    this.connections++;
    this.#conns.add(client).add(server);
    const count = (bytes: number) => this.fromServerBytes += bytes;
    await Promise.all([
      copy(client, server, plan.client, () => {}),
      copy(server, client, plan.server, count),
    ]);
    closeQuietly(client);
    closeQuietly(server);
  }
}

/** Copies one direction, unit by unit, to its end. */
async function copy(
  from: Deno.UnixConn,
  to: Deno.UnixConn,
  change: Change | undefined,
  onRead: (bytes: number) => void,
): Promise<void> {
  let held: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  const buffer = new Uint8Array(65536);
  try {
    for (let index = 0;;) {
      const size = unitBytes(held, index);
      if (held.length >= size) {
        const unit = held.slice(0, size);
        held = held.slice(size);
        const changed = change === undefined ? unit : change(unit, index);
        index++;
        if (changed === null) break;
        for (const piece of changed instanceof Uint8Array ? [changed] : changed) {
          await writeAll(to, piece);
        }
        continue;
      }
      const count = await from.read(buffer);
      if (count === null) break;
      onRead(count);
      const joined = new Uint8Array(held.length + count);
      joined.set(held);
      joined.set(buffer.subarray(0, count), held.length);
      held = joined;
    }
    if (held.length > 0) await writeAll(to, held);
    await to.closeWrite();
  } catch {
    closeQuietly(from);
    closeQuietly(to);
  }
}

/**
 * Bytes of the unit that begins `held`: hello, proof, then records; more than there are when its
 * head is not whole.
 */
function unitBytes(held: Uint8Array, index: number): number {
  if (index === 0) return 149;
  if (index === 1) return 49;
  if (held.length < 5) return 5;
  return 5 + new DataView(held.buffer, held.byteOffset).getUint32(1);
}

async function writeAll(conn: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function closeQuietly(conn: Deno.UnixConn): void {
  try {
    conn.close();
  } catch {
    // Closed already.
  }
}
