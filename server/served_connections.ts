// ServedConnections: the open connections of a server, each with its handler.
import { Connection } from "../connection.ts";
import { RequestTimer } from "../connection/request_timer.ts";
import type { Sweeper } from "../async/sweeper.ts";
import type { ConnectionEnd, Traffic } from "../connection/types.ts";
import { ParleyError } from "../errors.ts";
import { RateLimits } from "../limits/rate_limits.ts";
import { sourceKey } from "../limits/source_key.ts";
import type { Incoming, Transport } from "../net/transport/transport.ts";
import {
  measure,
  peerDetails,
  serverLabels,
  telemetryOn,
  tlsLabels,
} from "../stats/telemetry/telemetry.ts";
import { blameOf } from "./blame.ts";
import { isPeerFault, type ServerReporter } from "./reporter.ts";
import type { Handler, ResolvedServeOptions } from "./options.ts";
import type { ServerTally } from "./tally.ts";

/** What {@linkcode ServedConnections} works with. */
export interface ServedConnectionsParts<Data> {
  readonly handler: Handler<Data>;
  readonly reporter: ServerReporter<Data>;
  readonly tally: ServerTally;
  readonly sweeper: Sweeper;
}

/** What some connections hold, or left unread. */
export interface Held {
  /** How many connections. */
  readonly connections: number;
  /** Bytes received and not handed to a handler, or sent and not handed to the kernel. */
  readonly bytes: number;
}

/**
 * ```
 * open ──drain()──▶ draining ──▶ cut
 *   └────────cut()────────────────▲
 * ```
 * The state holds for connections that are set up later, too.
 */
type State = { readonly kind: "open" | "draining" } | {
  readonly kind: "cut";
  readonly error: Error;
};

/**
 * Microtask turns in which a handler may throw the error of its connection: enough for a few nested
 * awaits.
 */
const HANDLER_HOPS = 64;

/**
 * The open connections of one server. Every method may be called at any moment; connections are
 * served side by side.
 */
export class ServedConnections<Data> {
  /** Open connections by id. */
  readonly live: Map<string, Connection<Data>> = new Map();
  readonly #options: ResolvedServeOptions<Data>;
  readonly #parts: ServedConnectionsParts<Data>;
  readonly #rates: RateLimits | null;
  /** Connections that this side cut. What their handlers throw is not reported. */
  readonly #cut = new WeakSet<Connection<Data>>();
  /** What ended connections had left unread when they were drained. */
  #left: Held = { connections: 0, bytes: 0 };
  /**
   * The error by which a connection ended, once it was reported: a handler that throws it again
   * adds nothing.
   */
  readonly #reported = new WeakMap<Connection<Data>, unknown>();
  #state: State = { kind: "open" };
  #referenced = true;

  constructor(options: ResolvedServeOptions<Data>, parts: ServedConnectionsParts<Data>) {
    this.#options = options;
    this.#parts = parts;
    const { rateLimits } = options.given;
    this.#rates = rateLimits === undefined ? null : new RateLimits(rateLimits);
  }

  /** Runs the handler on a connection until both have ended. Never rejects. */
  serve(transport: Transport, incoming: Incoming): Promise<void> {
    const timer = new RequestTimer(this.#parts.tally.requests);
    const connection = this.#open(transport, incoming, timer);
    if (connection === null) return Promise.resolve();
    // Most of a connection's life is the wait for its handler. An `await` would hold twice as much
    // for that.
    return this.#handled(connection).then(
      () => this.#finish(connection, timer),
      (error) => {
        this.#threw(error, connection, timer);
        return this.#finish(connection, timer);
      },
    );
  }

  /** Calls the handler; what it throws at once rejects as well. */
  #handled(connection: Connection<Data>): Promise<void> {
    try {
      return Promise.resolve(this.#handle(connection));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #threw(error: unknown, connection: Connection<Data>, timer: RequestTimer): void {
    if (this.#cut.has(connection)) return;
    this.#parts.tally.threw(blameOf(error, connection, timer.lastTimeout));
    this.#report(error, "handler", connection);
  }

  /** Closes a connection whose handler has ended. */
  async #finish(connection: Connection<Data>, timer: RequestTimer): Promise<void> {
    timer.returned();
    const readsOn = connection.status === "closed";
    try {
      await connection.close();
    } catch (error) {
      if (!this.#cut.has(connection)) this.#report(error, "close", connection);
    }
    await connection.closed;
    // The handler may have read on what had arrived before the end.
    if (readsOn) this.#parts.tally.settle(connection);
  }

  /** Reports an error, unless it was reported for this connection already. */
  #report(
    error: unknown,
    phase: "handler" | "close" | "connection",
    connection: Connection<Data>,
  ): void {
    const before = this.#reported.get(connection);
    if (before !== undefined && isSameEvent(before, error)) return;
    this.#reported.set(connection, error);
    this.#parts.reporter.report(error, { phase, connection });
  }

  /**
   * Reports that a connection ended by its peer's fault, unless the handler throws that error at
   * once.
   */
  async #reportEnd(error: unknown, connection: Connection<Data>): Promise<void> {
    for (let hop = 0; hop < HANDLER_HOPS && !this.#reported.has(connection); hop++) await null;
    if (!this.#reported.has(connection)) this.#report(error, "connection", connection);
  }

  #handle(connection: Connection<Data>): void | Promise<void> {
    const { handler } = this.#parts;
    if (!telemetryOn()) return handler(connection);
    const { localAddr, remoteAddr, tls } = connection;
    return measure({
      name: "connection",
      kind: "server",
      labels: { "parley.protocol": "messages", ...serverLabels(localAddr), ...tlsLabels(tls) },
      details: { "parley.connection.id": connection.id, ...peerDetails(remoteAddr) },
    }, () => handler(connection));
  }

  /** What had arrived and was left unread by a drain. */
  get left(): Held {
    return this.#left;
  }

  /**
   * Drains every connection: each reads what has arrived, to the end of a message that has begun.
   */
  drain(): void {
    if (this.#state.kind === "open") this.#state = { kind: "draining" };
    for (const connection of this.live.values()) connection.drain();
  }

  /** What a cut would lose now. */
  get held(): Held {
    let bytes = 0;
    for (const connection of this.live.values()) {
      const { heldBytes, queuedBytes } = connection.stats();
      bytes += heldBytes + queuedBytes;
    }
    return { connections: this.live.size, bytes };
  }

  /** Cuts every connection now. */
  cut(error: Error): void {
    this.#state = { kind: "cut", error };
    for (const connection of [...this.live.values()]) this.#abort(connection, error);
  }

  /** Whether open connections keep the process alive. */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    for (const connection of this.live.values()) referenced ? connection.ref() : connection.unref();
  }

  /** Makes and announces the connection. Returns `null` when `data` threw. */
  #open(transport: Transport, incoming: Incoming, timer: RequestTimer): Connection<Data> | null {
    const { reporter, tally } = this.#parts;
    const { given } = this.#options;
    let connection: Connection<Data>;
    try {
      connection = this.#make(transport, incoming, timer);
    } catch (error) {
      transport.close();
      reporter.report(error, { phase: "hook", remoteAddr: incoming.remoteAddr });
      return null;
    }
    this.live.set(connection.id, connection);
    tally.opened(this.live.size);
    reporter.guard(() => given.onConnect?.(connection), connection);
    // Its handshake may have finished in the moment in which the server began to end.
    if (this.#state.kind === "draining") connection.drain();
    else if (this.#state.kind === "cut") this.#abort(connection, this.#state.error);
    return connection;
  }

  #make(transport: Transport, incoming: Incoming, observer: RequestTimer): Connection<Data> {
    const { given, connection: options } = this.#options;
    const { reporter, sweeper, tally } = this.#parts;
    const { localAddr, remoteAddr } = incoming;
    const gate = this.#rates?.gate(sourceKey(remoteAddr), performance.now()) ?? null;
    const { onTraffic } = given;
    const data = given.data?.({ localAddr, remoteAddr });
    const connection: Connection<Data> = new Connection<Data>(transport, {
      resolved: options,
      data,
      sweeper,
      observer,
      tellEachRead: onTraffic !== undefined,
      onTraffic: (traffic: Traffic): void => {
        tally.moved(traffic);
        if (onTraffic !== undefined) {
          reporter.guard(() => onTraffic(connection, traffic), connection);
        }
      },
      onClosed: (end: ConnectionEnd): void => this.#onClosed(connection, end),
      ...gate !== null && { rateGate: gate, onRatePause: () => tally.counters.rateLimitPauses++ },
    });
    if (!this.#referenced) connection.unref();
    // The handler may await the promise. If it does not, a rejection must not end the process.
    if (data instanceof Promise) reporter.guard(() => data, connection);
    return connection;
  }

  #abort(connection: Connection<Data>, error: Error): void {
    this.#cut.add(connection);
    connection.abort(error);
  }

  #onClosed(connection: Connection<Data>, end: ConnectionEnd): void {
    const { reporter, tally } = this.#parts;
    this.live.delete(connection.id);
    const { leftBytes } = connection;
    if (leftBytes > 0) {
      this.#left = { connections: this.#left.connections + 1, bytes: this.#left.bytes + leftBytes };
    }
    tally.closed(connection, end);
    if (isPeerFault(end.error) && !this.#cut.has(connection)) {
      void this.#reportEnd(end.error, connection);
    }
    reporter.guard(() => this.#options.given.onDisconnect?.(connection, end), connection);
  }
}

/**
 * Whether two errors report one event: they are the same, one causes the other, or their codes are
 * equal.
 */
function isSameEvent(before: unknown, error: unknown): boolean {
  if (before === error || causeOf(before) === error || causeOf(error) === before) return true;
  return before instanceof ParleyError && error instanceof ParleyError &&
    before.code === error.code;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : Symbol();
}
