// expose() and forward(): a local port or socket behind one client, reached from another through the hub.
import { checkDurationMs, checkInteger, checkText } from "../limits/check.ts";
import { TimeoutError } from "../errors.ts";
import { dial } from "../net/dial.ts";
import { listen } from "../net/listen.ts";
import type { Address, Incoming, Listener, Transport } from "../net/transport.ts";
import { timeLimit, withDeadline } from "./deadline.ts";
import { pause } from "../connection/pause.ts";
import { checkName } from "./frames.ts";
import type { JoinedWire } from "./join.ts";
import type { MountedWire } from "./mount.ts";
import { type SpliceEnd, spliceStreams } from "./splice.ts";
import type { WireCloseOptions } from "./session.ts";
import type { WireStream } from "./stream.ts";

/** Names of streams that are tunnels begin with this. */
const PREFIX = "tcp:";

/** Options of {@linkcode expose}. */
export interface ExposeOptions {
  /** Name or address to connect to. @default {"127.0.0.1"} */
  hostname?: string;
  /** Port to connect to. Callers have no say in where it goes. */
  port?: number;
  /** Path of a unix socket to connect to instead. */
  path?: string;
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
  /** Path of a unix socket to listen on instead. */
  path?: string;
  /** Permission bits of the socket's file. @default {0o600} */
  mode?: number;
  /** Connections at a time; more wait in the kernel. @default {64} as many streams as a hub lets one pair have */
  maxConnections?: number;
  /** Time in ms until the exposing side has connected; it covers a reconnect to the hub. @default {10000} */
  timeoutMs?: number;
  /** Called when a connection could not be brought through, or broke. */
  onError?: (error: unknown) => void;
}

/**
 * Lets others reach a local TCP port or unix socket under a name: through the hub, those whom its `authorize` allows the stream
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
  const { timeoutMs = 5000 } = options;
  const action = "Cannot expose a port";
  checkName(action, "name", PREFIX + name);
  const target = resolvePlace(action, options, 1);
  checkDurationMs(action, "timeoutMs", timeoutMs);
  const shown = "path" in target ? `"${target.path}"` : `port ${target.port}`;
  wire.handle(PREFIX + name, async (stream) => {
    const late = () =>
      new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot connect to ${shown} within ${timeoutMs} ms`);
    const transport = await withDeadline({ timeoutMs, late }, (signal) => dialLocal(target, signal));
    await tunnel(stream, transport);
  });
  return { [Symbol.dispose]: () => void wire.unhandle(PREFIX + name) };
}

/**
 * Listens on a local port or socket and brings each connection to the port that somebody exposes under this name. It outlives
 * restarts of the hub and of the other side: connections end, and new ones go through when all are there again.
 *
 * @throws {TypeError | RangeError} when the name or an option is wrong
 * @throws {AddressError} when the port or socket cannot be listened on
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
  const { to, path, port = path === undefined ? 0 : undefined, mode = 0o600 } = options;
  const { maxConnections = 64, timeoutMs = 10_000 } = options;
  const action = "Cannot forward a port";
  checkName(action, "name", PREFIX + name);
  const place = resolvePlace(action, { ...options, port }, 0);
  checkInteger(action, "mode", mode, 0, 0o777);
  checkInteger(action, "maxConnections", maxConnections, 1, 1 << 16);
  checkDurationMs(action, "timeoutMs", timeoutMs);
  const peer = to === undefined ? wire : wire.peer(to);
  const listener = await listen("path" in place ? { ...place, mode } : place);
  return new Forward(listener, {
    maxConnections,
    onError: options.onError,
    open: (signal) => peer.open(PREFIX + name, { timeoutMs, signal }),
    ended: wire.closed,
  });
}

/** A local end of a tunnel. */
type Place = { readonly hostname: string; readonly port: number } | { readonly path: string };

function resolvePlace(
  action: string,
  { hostname, port, path }: { readonly hostname?: string; readonly port?: number; readonly path?: string },
  leastPort: number,
): Place {
  if (path === undefined) {
    return { hostname: hostname ?? "127.0.0.1", port: checkInteger(action, "port", port, leastPort, 65535) };
  }
  if (hostname !== undefined || port !== undefined) {
    throw new TypeError(`${action} as "path" excludes "hostname" and "port"`);
  }
  checkText(action, "path", path, 1, 4096);
  return { path };
}

/** What a {@linkcode Forward} works with. */
interface ForwardParts {
  readonly maxConnections: number;
  readonly onError: ((error: unknown) => void) | undefined;
  readonly open: (signal: AbortSignal) => Promise<WireStream>;
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
  readonly #cutting = new AbortController();
  #closing: Promise<void> | undefined;

  /** @ignore use {@linkcode forward} */
  constructor(listener: Listener, parts: ForwardParts) {
    this.#listener = listener;
    this.#parts = parts;
    this.finished = this.#accept();
    void parts.ended.then(() => this.#cut());
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
    this.#cut();
    await this.finished;
  }

  /**
   * Stops listening, and lets the connections end by themselves. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when some were cut as the time ran out; it counts them
   */
  shutdown(options: WireCloseOptions = {}): Promise<void> {
    const timeoutMs = timeLimit("shut down the tunnel", options, 10_000);
    this.#closing ??= this.#shutdown(timeoutMs);
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stop(): void {
    this.#stopping.abort();
    this.#listener.close();
  }

  #cut(): void {
    this.#stop();
    this.#cutting.abort();
    for (const stream of this.#open) stream.reset();
  }

  async #shutdown(timeoutMs: number): Promise<void> {
    this.#stop();
    const late = () => {
      const cutConnections = this.#running.size;
      const text = `Cannot shut down in order: ${cutConnections} connections were open after ${timeoutMs} ms`;
      return new TimeoutError("ERR_DRAIN_TIMEOUT", text, { cutConnections });
    };
    try {
      await withDeadline({ timeoutMs, late }, () => this.finished);
    } finally {
      await this.close();
    }
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
      transport = await incoming.open({ signal: this.#cutting.signal });
      const stream = await this.#parts.open(this.#cutting.signal);
      if (this.#cutting.signal.aborted) stream.reset();
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
async function dialLocal(target: Place, signal: AbortSignal): Promise<Transport> {
  const transport = await dial(target, { signal });
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
