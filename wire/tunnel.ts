// expose() and forward(): a TCP port behind one client, reached from another through the hub.
import { checkDurationMs, checkInteger } from "../limits/check.ts";
import { TimeoutError } from "../errors.ts";
import { dial } from "../net/dial.ts";
import { listen } from "../net/listen.ts";
import type { Address, Incoming, Listener, Transport } from "../net/transport.ts";
import { withDeadline } from "./deadline.ts";
import { pause } from "../connection/pause.ts";
import { checkName } from "./frames.ts";
import type { JoinedWire } from "./join.ts";
import type { MountedWire } from "./mount.ts";
import { type SpliceEnd, spliceStreams } from "./splice.ts";
import type { WireStream } from "./stream.ts";

/** Names of streams that are tunnels begin with this. */
const PREFIX = "tcp:";

/** Options of {@linkcode expose}. */
export interface ExposeOptions {
  /** Name or address to connect to. @default {"127.0.0.1"} */
  hostname?: string;
  /** Port to connect to. Callers have no say in where it goes. */
  port: number;
  /** Time in ms for the local connection. @default {5000} */
  timeoutMs?: number;
}

/** Options of {@linkcode forward}. */
export interface ForwardOptions {
  /** Who exposes the port; absent for the server itself. */
  to?: string;
  /** Name or address to listen on. @default {"127.0.0.1"} never all interfaces by accident */
  hostname?: string;
  /** Port to listen on; 0 picks a free one. @default {0} */
  port?: number;
  /** Connections at a time; more wait in the kernel. @default {64} as many streams as a hub lets one pair have */
  maxConnections?: number;
  /** Time in ms until the exposing side has connected; it covers a reconnect to the hub. @default {10000} */
  timeoutMs?: number;
  /** Called when a connection could not be brought through, or broke. */
  onError?: (error: unknown) => void;
}

/**
 * Lets others reach a local TCP port under a name: through the hub, those whom its `authorize` allows the stream
 * `tcp:<name>`. Disposing the result ends that; connections that are open go on.
 *
 * @throws {TypeError | RangeError} when the name or an option is wrong
 *
 * @example
 * ```ts ignore
 * import { expose, join } from "@parley/parley/wire";
 *
 * const wire = join({ hostname: "hub.example", port: 7000, tls: {}, identity: "office", token });
 * expose(wire, "web", { port: 8080 });
 * ```
 */
export function expose(wire: JoinedWire | MountedWire, name: string, options: ExposeOptions): Disposable {
  const { hostname = "127.0.0.1", port, timeoutMs = 5000 } = options;
  checkName("Cannot expose a port", "name", PREFIX + name);
  checkInteger("Cannot expose a port", "port", port, 1, 65535);
  checkDurationMs("Cannot expose a port", "timeoutMs", timeoutMs);
  wire.handle(PREFIX + name, async (stream) => {
    const late = () =>
      new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot connect to port ${port} within ${timeoutMs} ms`);
    const transport = await withDeadline({ timeoutMs, late }, (signal) => dialLocal(hostname, port, signal));
    await tunnel(stream, transport);
  });
  return { [Symbol.dispose]: () => void wire.unhandle(PREFIX + name) };
}

/**
 * Listens on a local port and brings each connection to the port that somebody exposes under this name. It outlives
 * restarts of the hub and of the other side: connections end, and new ones go through when all are there again.
 *
 * @throws {TypeError | RangeError} when the name or an option is wrong
 * @throws {AddressError} when the port cannot be listened on
 *
 * @example
 * ```ts ignore
 * import { forward, join } from "@parley/parley/wire";
 *
 * const wire = join({ hostname: "hub.example", port: 7000, tls: {}, identity: "home", token });
 * await forward(wire, "web", { to: "office", port: 9090 }); // now see http://127.0.0.1:9090/
 * ```
 */
export async function forward(
  wire: JoinedWire,
  name: string,
  options: ForwardOptions = {},
): Promise<Forward> {
  const { to, hostname = "127.0.0.1", port = 0, maxConnections = 64, timeoutMs = 10_000 } = options;
  const action = "Cannot forward a port";
  checkName(action, "name", PREFIX + name);
  checkInteger(action, "port", port, 0, 65535);
  checkInteger(action, "maxConnections", maxConnections, 1, 1 << 16);
  checkDurationMs(action, "timeoutMs", timeoutMs);
  const peer = to === undefined ? wire : wire.peer(to);
  const listener = await listen({ hostname, port });
  return new Forward(listener, {
    maxConnections,
    onError: options.onError,
    open: () => peer.open(PREFIX + name, { timeoutMs }),
    ended: wire.closed,
  });
}

/** What a {@linkcode Forward} works with. */
interface ForwardParts {
  readonly maxConnections: number;
  readonly onError: ((error: unknown) => void) | undefined;
  readonly open: () => Promise<WireStream>;
  /** Settles when there will be no more streams. */
  readonly ended: Promise<unknown>;
}

/** A local port that leads elsewhere; {@linkcode forward} makes it. */
export class Forward implements AsyncDisposable {
  /** Resolves when it is closed and all its connections are over. Never rejects. */
  readonly finished: Promise<void>;
  readonly #listener: Listener;
  readonly #parts: ForwardParts;
  readonly #running = new Set<Promise<void>>();
  readonly #open = new Set<WireStream>();
  readonly #stopping = new AbortController();

  /** @ignore use {@linkcode forward} */
  constructor(listener: Listener, parts: ForwardParts) {
    this.#listener = listener;
    this.#parts = parts;
    this.finished = this.#accept();
    void parts.ended.then(() => this.#stop());
  }

  /** Where it listens, with the real port. */
  get addr(): Address {
    return this.#listener.addr;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#running.size;
  }

  /** Stops listening and cuts the connections. Idempotent. */
  async close(): Promise<void> {
    this.#stop();
    for (const stream of this.#open) stream.reset();
    await this.finished;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stop(): void {
    this.#stopping.abort();
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // What is over the limit waits in the kernel.
      if (this.#running.size >= this.#parts.maxConnections) await Promise.race(this.#running);
      let incoming: Incoming | null = null;
      try {
        incoming = await this.#listener.accept();
      } catch (error) {
        this.#tell(error);
        await pause(100, signal);
        continue;
      }
      if (incoming === null) break;
      const task = this.#serve(incoming);
      this.#running.add(task);
      void task.then(() => this.#running.delete(task));
    }
    await Promise.all(this.#running);
  }

  async #serve(incoming: Incoming): Promise<void> {
    let transport: Transport | undefined;
    try {
      transport = await incoming.open({ signal: this.#stopping.signal });
      const stream = await this.#parts.open();
      if (this.#stopping.signal.aborted) stream.reset();
      this.#open.add(stream);
      const error = await tunnel(stream, transport);
      this.#open.delete(stream);
      if (error !== undefined) this.#tell(error);
    } catch (error) {
      this.#tell(error);
    } finally {
      transport?.close();
    }
  }

  #tell(error: unknown): void {
    try {
      this.#parts.onError?.(error);
    } catch {
      // A hook that throws must not end the tunnel.
    }
  }
}

/** A connection whose deadline may pass while it is set up. */
async function dialLocal(hostname: string, port: number, signal: AbortSignal): Promise<Transport> {
  const transport = await dial({ hostname, port }, { signal });
  if (!signal.aborted) return transport;
  transport.close();
  throw signal.reason;
}

/** Joins a stream and a connection until both are over. Gives what broke them, if something did. */
async function tunnel(stream: WireStream, transport: Transport): Promise<unknown> {
  const near: SpliceEnd = {
    closed: stream.closed,
    read: () => stream.read(),
    write: (bytes) => stream.write(bytes),
    closeWrite: () => stream.closeWrite(),
    abort: (reason) => stream.reset(reason),
  };
  const far: SpliceEnd = {
    read: () => transport.read(),
    write: (bytes) => transport.write(bytes),
    closeWrite: () => transport.closeWrite(),
    abort: () => transport.close(),
  };
  const error = await spliceStreams(near, far);
  transport.close();
  return error;
}
