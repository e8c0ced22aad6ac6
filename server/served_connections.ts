// ServedConnections: the open connections of a server, each with its handler, from the handshake to the end of both.
import { Connection } from "../connection.ts";
import { RequestTimer } from "../connection/request_timer.ts";
import type { Sweeper } from "../async/sweeper.ts";
import type { ConnectionEnd, Traffic } from "../connection/types.ts";
import { ParleyError } from "../errors.ts";
import { RateLimits } from "../limits/rate_limits.ts";
import { sourceKey } from "../limits/source_key.ts";
import type { Incoming, Transport } from "../net/transport/transport.ts";
import { measure, peerDetails, serverLabels, telemetryOn, tlsLabels } from "../stats/telemetry/telemetry.ts";
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

/** What some connections hold, or have left. */
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
 * What holds for the open connections holds for one that is set up later, too.
 */
type State = { readonly kind: "open" | "draining" } | { readonly kind: "cut"; readonly error: Error };

/** Turns of the microtask queue that a handler gets to complain of the end of its connection: a few functions that await each other. */
const HANDLER_HOPS = 64;

/** The open connections of one server. Every method may be called at any moment; connections are served side by side. */
export class ServedConnections<Data> {
  /** Open connections by id. */
  readonly live: Map<string, Connection<Data>> = new Map();
  readonly #options: ResolvedServeOptions<Data>;
  readonly #parts: ServedConnectionsParts<Data>;
  readonly #rates: RateLimits;
  /** Connections that we ended before their time: what their handlers complain of is no news. */
  readonly #cut = new WeakSet<Connection<Data>>();
  /** What connections that are gone had left unread when they were drained. */
  #left: Held = { connections: 0, bytes: 0 };
  /** Ends of connections that were reported already: a handler that complains of one says nothing new. */
  readonly #reported = new WeakMap<Connection<Data>, unknown>();
  #state: State = { kind: "open" };
  #referenced = true;

  constructor(options: ResolvedServeOptions<Data>, parts: ServedConnectionsParts<Data>) {
    this.#options = options;
    this.#parts = parts;
    this.#rates = new RateLimits(options.given.rateLimits);
  }

  /** Runs the handler on a connection, to the end of both. Never rejects. */
  async serve(transport: Transport, incoming: Incoming): Promise<void> {
    const { tally } = this.#parts;
    const timer = new RequestTimer(tally.requests);
    const connection = this.#open(transport, incoming, timer);
    if (connection === null) return;
    try {
      await this.#handle(connection);
    } catch (error) {
      if (!this.#cut.has(connection)) {
        tally.threw(blameOf(error, connection, timer.lastTimeout));
        this.#report(error, "handler", connection);
      }
    }
    timer.returned();
    const readsOn = connection.status === "closed";
    try {
      await connection.close();
    } catch (error) {
      if (!this.#cut.has(connection)) this.#report(error, "close", connection);
    }
    await connection.closed;
    // The handler may have gone on to read what had come before the end.
    if (readsOn) tally.settle(connection);
  }

  /** Reports an error, unless it is the one that was reported of this connection already. */
  #report(error: unknown, phase: "handler" | "close" | "connection", connection: Connection<Data>): void {
    const before = this.#reported.get(connection);
    if (before !== undefined && isSameEvent(before, error)) return;
    this.#reported.set(connection, error);
    this.#parts.reporter.report(error, { phase, connection });
  }

  /** Reports the end of a connection by its peer's fault where the handler does not complain of it at once. */
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

  /** Lets every connection end in order: each reads what has arrived, to the end of a message that has begun. */
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

  /** Ends every connection now. */
  cut(error: Error): void {
    this.#state = { kind: "cut", error };
    for (const connection of [...this.live.values()]) this.#abort(connection, error);
  }

  /** Whether open connections keep the process alive. */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    for (const connection of this.live.values()) referenced ? connection.ref() : connection.unref();
  }

  /** Makes the connection and announces it; `null` when its data could not be made. */
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
    void connection.closed.then((end) => this.#onClosed(connection, end));
    reporter.guard(() => given.onConnect?.(connection), connection);
    // Its handshake may have finished at the very moment at which the server began to end.
    if (this.#state.kind === "draining") connection.drain();
    else if (this.#state.kind === "cut") this.#abort(connection, this.#state.error);
    return connection;
  }

  #make(transport: Transport, incoming: Incoming, observer: RequestTimer): Connection<Data> {
    const { given, connection: options } = this.#options;
    const { reporter, sweeper, tally } = this.#parts;
    const { localAddr, remoteAddr } = incoming;
    const gate = this.#rates.gate(sourceKey(remoteAddr), performance.now());
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
        if (onTraffic !== undefined) reporter.guard(() => onTraffic(connection, traffic), connection);
      },
      ...gate !== null && { rateGate: gate, onRatePause: () => tally.counters.rateLimitPauses++ },
    });
    if (!this.#referenced) connection.unref();
    // The handler may await it, and then hears of it too; one that does not must not end the process.
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
    if (isPeerFault(end.error) && !this.#cut.has(connection)) void this.#reportEnd(end.error, connection);
    reporter.guard(() => this.#options.given.onDisconnect?.(connection, end), connection);
  }
}

/** Whether two errors are of one event: they are one, one is the cause of the other, or both have the same code. */
function isSameEvent(before: unknown, error: unknown): boolean {
  if (before === error || causeOf(before) === error || causeOf(error) === before) return true;
  return before instanceof ParleyError && error instanceof ParleyError && before.code === error.code;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : Symbol();
}
