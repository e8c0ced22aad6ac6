// forward(): a local port or socket that leads to what another side exposes.
import { type CloseOptions, closeTimeout } from "../../options/close.ts";
import { checkOptionNames, type OptionNames } from "../../options/names.ts";
import type { ServerState } from "../../accept/server_state.ts";
import { callHook } from "../../log/call_hook.ts";
import { pause } from "../../async/pause.ts";
import {
  ClosedError,
  LimitError,
  ParleyError,
  type ParleyErrorCode,
  TimeoutError,
} from "../../errors.ts";
import { AcceptBackoff } from "../../accept/accept_backoff.ts";
import { checkDurationMs, checkInteger } from "../../options/check.ts";
import { listen } from "../../net/listen.ts";
import type { Address, Incoming, Listener, Transport } from "../../net/transport/transport.ts";
import { timeLeft, withDeadline } from "../../async/deadline.ts";
import { checkName } from "../protocol/frames.ts";
import type { JoinedWire } from "../join.ts";
import type { WireStream } from "../session/stream.ts";
import { cut, joinTunnel } from "./join_tunnel.ts";
import { LOCAL_SOCKETS, PREFIX, resolvePlace } from "./tunnel.ts";
import { Semaphore } from "../../async/semaphore.ts";

/** Connections that wait beside those that are open: each holds a descriptor. */
const MAX_WAITING = 512;

/** First wait before what is not there is asked for again, in ms; it doubles to the longest. */
const FIRST_PAUSE_MS = 50;

/** Longest wait before what is not there is asked for again, in ms. */
const LONGEST_PAUSE_MS = 1000;

/** Refusals and ends that may pass while a connection waits: nothing of it has been sent by then. */
const PASSING: ReadonlySet<ParleyErrorCode> = new Set([
  "ERR_CLOSED",
  "ERR_GOING_AWAY",
  "ERR_KEEPALIVE_TIMEOUT",
  "ERR_NO_HANDLER",
  "ERR_NO_PEER",
  "ERR_RESET",
  "ERR_TOO_MANY_STREAMS",
]);

/** Options of {@linkcode forward}. */
export interface ForwardOptions {
  /** Who exposes the port; absent for the server itself. */
  to?: string | undefined;
  /** Name or address to listen on. @default {"127.0.0.1"} never all interfaces by accident */
  hostname?: string | undefined;
  /** Port to listen on; 0 picks a free one. @default {0} */
  port?: number | undefined;
  /** Path of a unix socket to listen on instead. */
  path?: string | undefined;
  /** Permission bits of the socket's file. @default {0o600} */
  mode?: number | undefined;
  /**
   * Connections at a time. More wait, as long as `timeoutMs` says and up to 512 of them; those
   * beyond are reset.
   *
   * @default {64} as many streams as a hub lets one pair have
   */
  maxConnections?: number | undefined;
  /**
   * Time in ms that a connection waits in all: for its turn, for a session with the hub, for the
   * other side to be there, and for its answer. Then the connection is reset.
   *
   * @default {10000}
   */
  timeoutMs?: number | undefined;
  /** Called when a connection could not be brought through, or broke. */
  onError?: ((error: unknown) => void) | undefined;
}

const NAMES: OptionNames<ForwardOptions> = {
  to: true,
  hostname: true,
  port: true,
  path: true,
  mode: true,
  maxConnections: true,
  timeoutMs: true,
  onError: true,
};

/**
 * Listens on a local port or socket and brings each connection to the port that the other side
 * exposes under this name. It outlives restarts of the hub and of the other side: connections that
 * are open break, and new ones wait for up to `timeoutMs` until all are there again.
 *
 * A connection ends in order when both of its directions have. Any other end is a reset at the
 * local socket: of the target, of a session on the way, of the hub. A unix socket knows no reset:
 * what reads there sees an end, and what writes an error.
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
  checkOptionNames(action, options, NAMES);
  checkName(action, "name", PREFIX + name);
  const place = resolvePlace(action, { ...options, port }, 0);
  checkInteger(action, "mode", mode, 0, 0o777);
  checkInteger(action, "maxConnections", maxConnections, 1, 1 << 16);
  checkDurationMs(action, "timeoutMs", timeoutMs);
  const peer = to === undefined ? wire : wire.peer(to);
  const listener = await listen("path" in place ? { ...place, mode } : place, LOCAL_SOCKETS);
  return new Forward(listener, {
    maxConnections,
    timeoutMs,
    onError: options.onError,
    open: (limits) => peer.open(PREFIX + name, { ...limits, waitForPeer: to !== undefined }),
    ended: wire.closed,
  });
}

/** What a {@linkcode Forward} works with. */
interface ForwardParts {
  readonly maxConnections: number;
  readonly timeoutMs: number;
  readonly onError: ((error: unknown) => void) | undefined;
  readonly open: (
    limits: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ) => Promise<WireStream>;
  /** Settles when there will be no more streams. */
  readonly ended: Promise<unknown>;
}

/**
 * A local port whose connections leave through a tunnel; {@linkcode forward} makes it.
 *
 * All methods may be called concurrently; the first call that ends it decides.
 */
export class Forward implements AsyncDisposable {
  /** Resolved: {@linkcode forward} returns when it listens. */
  readonly ready: Promise<void> = Promise.resolve();
  /** Resolves when it is closed and all its connections are over. Never rejects. */
  readonly finished: Promise<void>;
  readonly #listener: Listener;
  readonly #parts: ForwardParts;
  readonly #turns: Semaphore;
  /** Each aborts one connection. */
  readonly #connections = new Set<AbortController>();
  readonly #stopping = new AbortController();
  readonly #empty = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #state: ServerState = "listening";

  /** @ignore use {@linkcode forward} */
  constructor(listener: Listener, parts: ForwardParts) {
    this.#listener = listener;
    this.#parts = parts;
    this.#turns = new Semaphore(parts.maxConnections);
    this.finished = this.#accept().finally(() => this.#state = "stopped");
    void parts.ended.then(() => this.#cut());
  }

  /** Where it listens, with the real port. */
  get addr(): Address {
    return this.#listener.addr;
  }

  /** Where in its life the tunnel is. */
  get state(): ServerState {
    return this.#state;
  }

  /** Lets the process live while the tunnel listens (the default). */
  ref(): void {
    this.#listener.ref();
  }

  /** Lets the process end although the tunnel listens. */
  unref(): void {
    this.#listener.unref();
  }

  /** Connections that are open, and those that wait. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Stops listening and resets the connections. Idempotent. */
  async abort(): Promise<void> {
    this.#cut();
    await this.finished;
  }

  /**
   * Stops listening, and lets the connections end by themselves. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when some were cut because the time ran out; it counts them
   */
  shutdown(options: CloseOptions = {}): Promise<void> {
    const timeoutMs = closeTimeout("Cannot shut down the tunnel", options, 10_000);
    this.#closing ??= this.#shutdown(timeoutMs);
    return this.#closing;
  }

  /** The same as {@linkcode shutdown}; waits for {@linkcode finished} when it ends already. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#stopping.signal.aborted ? this.finished : this.shutdown());
  }

  #stop(): void {
    this.#stopping.abort();
    if (this.#state === "listening") this.#state = "draining";
    this.#listener.close();
  }

  #cut(): void {
    this.#stop();
    const reason = new ClosedError(
      "ERR_CLOSED",
      "Cannot go on with the connection: the tunnel was closed",
    );
    for (const connection of this.#connections) connection.abort(reason);
  }

  async #shutdown(timeoutMs: number): Promise<void> {
    this.#stop();
    const late = () => {
      const cutConnections = this.#connections.size;
      const text =
        `Cannot shut down in order: ${cutConnections} connections were open after ${timeoutMs} ms`;
      return new TimeoutError("ERR_DRAIN_TIMEOUT", text, { cutConnections });
    };
    try {
      await withDeadline({ timeoutMs, late }, () => this.finished);
    } finally {
      await this.abort();
    }
  }

  async #accept(): Promise<void> {
    const { signal } = this.#stopping;
    const backoff = new AcceptBackoff();
    for (;;) {
      try {
        const incoming = await this.#listener.accept();
        if (incoming === null) break;
        backoff.reset();
        if (signal.aborted) incoming.refuse();
        else void this.#serve(incoming);
      } catch (error) {
        this.#tell(error);
        await pause(backoff.nextMs(), signal);
      }
    }
    if (this.#connections.size > 0) await this.#empty.promise;
  }

  /** One connection, to its end. Never rejects. */
  async #serve(incoming: Incoming): Promise<void> {
    const ending = new AbortController();
    this.#connections.add(ending);
    let local: Transport | undefined;
    try {
      local = await incoming.open({ signal: ending.signal });
      const error = await this.#carry(local, ending);
      if (error !== undefined) this.#tell(error);
    } catch (error) {
      if (local !== undefined) cut(local);
      this.#tell(error);
    } finally {
      this.#connections.delete(ending);
      if (this.#stopping.signal.aborted && this.#connections.size === 0) this.#empty.resolve();
    }
  }

  /**
   * Brings a connection through. Returns what broke it, if anything did; rejects when it did not
   * come so far.
   */
  async #carry(local: Transport, ending: AbortController): Promise<unknown> {
    const { maxConnections, timeoutMs } = this.#parts;
    if (this.#connections.size > maxConnections + MAX_WAITING) {
      throw tooMany(`${maxConnections} others are open and ${MAX_WAITING} wait`);
    }
    const startedMs = performance.now();
    const { signal } = ending;
    // A client that leaves while it waits must not take the place of one that stays.
    const first = local.read();
    let isWaiting = true;
    first.catch((error) => isWaiting && ending.abort(error));
    if (!await this.#turns.acquire(timeoutMs, signal)) {
      signal.throwIfAborted();
      throw tooMany(`${maxConnections} others were open for ${timeoutMs} ms`);
    }
    try {
      const stream = await this.#reach(signal, startedMs);
      const onAbort = () => stream.abort(signal.reason);
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
      isWaiting = false;
      return await joinTunnel(stream, local, { role: "opened", first });
    } finally {
      this.#turns.release();
    }
  }

  /**
   * Opens the stream, as often as it takes in what is left of the time, while the other side is not
   * there.
   */
  async #reach(signal: AbortSignal, startedMs: number): Promise<WireStream> {
    const { open, timeoutMs } = this.#parts;
    let refusal: unknown;
    for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
      try {
        return await open({ signal, timeoutMs: timeLeft(timeoutMs, startedMs) });
      } catch (error) {
        if (signal.aborted) throw error;
        if (!(error instanceof ParleyError && PASSING.has(error.code))) {
          // The end of the time cuts the last attempt short: the refusal before it says more.
          throw error instanceof TimeoutError ? refusal ?? error : error;
        }
        refusal = error;
        await pause(
          Math.min(pauseMs * (0.5 + Math.random() / 2), timeLeft(timeoutMs, startedMs)),
          signal,
        );
        signal.throwIfAborted();
        if (performance.now() - startedMs >= timeoutMs) throw error;
      }
    }
  }

  #tell(error: unknown): void {
    // A hook that fails must not end the tunnel.
    callHook(() => this.#parts.onError?.(error), () => {});
  }
}

function tooMany(why: string): LimitError {
  return new LimitError("ERR_TOO_MANY_CONNECTIONS", `Cannot bring the connection through: ${why}`);
}
