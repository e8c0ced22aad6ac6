// Server: listens, serves each connection by a handler, and ends in order.
import type { Connection } from "../connection.ts";
import { Sweeper } from "../async/sweeper.ts";
import { ClosedError, type TimeoutError } from "../errors.ts";
import { pause } from "../async/pause.ts";
import type { Address, Transport } from "../net/transport/transport.ts";
import { Door } from "../accept/door.ts";
import { TransportHandshake } from "../accept/handshake.ts";
import { closedMeanwhile, drainedLate, drainLeft } from "./drain_errors.ts";
import { ServerReporter } from "./reporter.ts";
import type { ServerState } from "../accept/server_state.ts";
import type { Handler, ResolvedServeOptions } from "./options.ts";
import { type ShutdownOptions, shutdownTimes } from "./shutdown_options.ts";
import { callerOf, noAddress, Outcome, pointToCaller } from "./outcome.ts";
import { ServedConnections } from "./served_connections.ts";
import { ServerTally, type TallyBooks } from "./tally.ts";
import type { RefusalReason, SharedConnections } from "../limits/admission.ts";
import type { ConnectionStats, ServerStats } from "../stats/data/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import { certificateStats } from "../tls/expiry.ts";

/** What a server has together with those of other threads. */
export interface SharedServerParts {
  /** Where it counts. @default {its own} */
  readonly books?: TallyBooks | undefined;
  /** Where it counts refusals by reason. @default {its own} */
  readonly refused?: Record<RefusalReason, number> | undefined;
  /** The count that `maxConnections` limits. @default {its own} */
  readonly connections?: SharedConnections | undefined;
}

/**
 * Time in ms that a drain leaves to handshakes: the client may have finished, and sent its first
 * message.
 */
const HANDSHAKE_GRACE_MS = 200;

/**
 * A running server; {@linkcode serve} makes it. Every method may be called at any moment, in every
 * state; calls of {@linkcode shutdown} share one drain.
 */
export class Server<Data = unknown> implements AsyncDisposable {
  readonly #options: ResolvedServeOptions<Data>;
  readonly #reporter: ServerReporter<Data>;
  readonly #sweeper = new Sweeper();
  readonly #door: Door<Transport>;
  readonly #tally: ServerTally;
  readonly #connections: ServedConnections<Data>;
  readonly #ready = new Outcome();
  readonly #finished = new Outcome();
  /** Where in the program this server was made. */
  readonly #caller = callerOf(Server);
  /** Ends the delay before a drain. */
  readonly #leaving = new AbortController();
  #state: ServerState = "created";
  #shutdown: Promise<void> | null = null;
  /**
   * Whether the signal began the drain. Then its outcome goes to `onError`: no caller learns of it.
   */
  #drainsUnasked = false;

  /** @ignore use {@linkcode serve} */
  constructor(
    options: ResolvedServeOptions<Data>,
    handler: Handler<Data>,
    shared: SharedServerParts = {},
  ) {
    this.#options = options;
    const sweeper = this.#sweeper;
    const reporter = this.#reporter = new ServerReporter(options.given.onError, options.logger);
    const tally = this.#tally = new ServerTally(
      sweeper,
      reporter.recent,
      options.closedLog,
      shared.books,
    );
    this.#connections = new ServedConnections(options, { handler, reporter, tally, sweeper });
    this.#door = new Door(options.door, {
      handshake: new TransportHandshake({
        isTls: options.given.tls !== undefined,
        protocol: "messages",
      }),
      reporter,
      tally,
      serve: (transport, incoming) => this.#connections.serve(transport, incoming),
      shared: shared.connections,
      refused: shared.refused,
    });
    // Not before `serve` has returned: hooks may use its result.
    queueMicrotask(() => void this.#start());
  }

  /** Resolves when the server listens; rejects when it cannot. */
  get ready(): Promise<void> {
    return this.#ready.ask();
  }

  /**
   * Resolves when the server is stopped and all its descriptors are free; rejects only when it
   * could not listen.
   */
  get finished(): Promise<void> {
    return this.#finished.ask();
  }

  /**
   * Where the server listens, with the real port. Known once {@linkcode ready} has resolved.
   *
   * @throws {ClosedError} `ERR_CLOSED` when it does not listen yet, or never did
   */
  get addr(): Address {
    const { addr } = this.#door;
    if (addr !== null) return addr;
    throw noAddress("server", this.#state);
  }

  /** The current state. */
  get state(): ServerState {
    return this.#state;
  }

  /** Open connections by id. */
  get connections(): ReadonlyMap<string, Connection<Data>> {
    return this.#connections.live;
  }

  /** The current counters, in total and by day. */
  stats(): ServerStats {
    const { addr, admission, credentials } = this.#door;
    const connections = this.#connections.live.values();
    const stats = this.#tally.snapshot(this.#state, addr, connections, admission);
    return Object.freeze({ ...stats, ...certificateStats(credentials) });
  }

  /**
   * Connections that have ended, the newest first: 10000 for an hour, unless `closedLog` says
   * otherwise.
   */
  closedConnections(): readonly ConnectionStats[] {
    return this.#tally.closedConnections();
  }

  /**
   * Counters of a connection, open or ended; `undefined` when the id is unknown, or was dropped
   * from the log.
   */
  connectionStats(id: string): ConnectionStats | undefined {
    return this.#connections.live.get(id)?.stats() ?? this.#tally.closedConnection(id);
  }

  /** Lets the process live while the server runs (the default). */
  ref(): void {
    this.#door.ref();
    this.#connections.setReferenced(true);
  }

  /** Lets the process end although the server runs. */
  unref(): void {
    this.#door.unref();
    this.#connections.setReferenced(false);
  }

  /**
   * Drains, after `drainDelayMs` if there is any: accepts no more, reads what has arrived (see
   * {@linkcode Connection.drain}), lets the handlers finish with it, writes what they sent,
   * closes. Idempotent: a second call shares the first one's deadline and outcome.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when the time ran out, or a peer sent more than is
   * read while draining: it counts the connections and bytes that were cut
   * @throws {ClosedError} `ERR_CLOSED` when {@linkcode abort} cut connections before they had ended
   * @throws {RangeError} when `timeoutMs` is out of range
   */
  shutdown(options: ShutdownOptions = {}): Promise<void> {
    if (this.#shutdown !== null) return this.#shutdown;
    const { timeoutMs, delayMs } = shutdownTimes(options, this.#options);
    // Set before any hook runs: a hook may call shutdown() again.
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#shutdown = promise;
    promise.catch(() => {});
    const drained = delayMs > 0 && this.#state === "listening"
      ? this.#leave(delayMs).then(() => this.#drain(timeoutMs))
      : this.#drain(timeoutMs);
    drained.then(resolve, reject);
    return promise;
  }

  /** Stops now: every connection is cut. `reason` becomes the cause of their errors. Idempotent. */
  abort(reason?: unknown): void {
    if (this.#state === "stopped") return;
    const options = reason === undefined ? {} : { cause: reason };
    this.#stopListening(new ClosedError("ERR_CLOSED", "The server was aborted", options), 0);
    this.#connections.cut(
      new ClosedError("ERR_CLOSED", "The connection was cut: the server was aborted", options),
    );
    this.#stop();
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #start(): Promise<void> {
    const { given, listen } = this.#options;
    try {
      if (lookForTelemetry()) await loadTelemetry();
      this.#assertStarting();
      given.signal?.addEventListener("abort", this.#onSignal, { once: true });
      await this.#door.listen(listen);
      this.#assertStarting();
    } catch (error) {
      this.#failToStart(this.#door.isClosed ? this.#endedEarly() : error);
      return;
    }
    this.#begin();
  }

  #begin(): void {
    this.#tally.start(this.addr);
    const { given, warning } = this.#options;
    if (warning !== undefined) this.#reporter.warn(warning);
    this.#setState("listening");
    this.#ready.resolve();
    this.#reporter.guard(() => given.onListen?.(this.addr));
    this.#door.start();
  }

  /** Throws when the server was ended before it listened. */
  #assertStarting(): void {
    if (this.#options.given.signal?.aborted || this.#door.isClosed) throw this.#endedEarly();
  }

  /** Why the server was ended before it listened. */
  #endedEarly(): unknown {
    const { signal } = this.#options.given;
    if (signal?.aborted) return signal.reason;
    return new ClosedError("ERR_CLOSED", "Cannot listen: the server was closed before it listened");
  }

  readonly #onSignal = (): void => {
    this.#drainsUnasked = this.#shutdown === null;
    void this.shutdown();
  };

  #failToStart(error: unknown): void {
    const { signal } = this.#options.given;
    signal?.removeEventListener("abort", this.#onSignal);
    const ended = this.#state === "stopped";
    if (!ended) this.#setState("stopped");
    if (ended || signal?.aborted) {
      this.#ready.reject(error);
      this.#finished.resolve();
      return;
    }
    pointToCaller(error, this.#caller);
    const isHeard = this.#ready.isAsked || this.#finished.isAsked;
    this.#ready.reject(error);
    this.#finished.reject(error);
    if (!isHeard) this.#reporter.report(error, { phase: "listen" });
  }

  /** The time in which a balancer sees that the server is leaving. */
  async #leave(delayMs: number): Promise<void> {
    this.#setState("leaving");
    await pause(delayMs, this.#leaving.signal);
    if (this.#leaving.signal.aborted) throw closedMeanwhile();
  }

  async #drain(timeoutMs: number): Promise<void> {
    if (this.#state === "stopped") return;
    const before = this.#state;
    const reason = new ClosedError("ERR_GOING_AWAY", "The server is draining");
    if (before === "created") {
      this.#setState("stopped");
      this.#stopListening(reason, 0);
      return await this.#finished.promise.catch(() => {});
    }
    this.#setState("draining");
    this.#stopListening(
      reason,
      Math.min(HANDSHAKE_GRACE_MS, timeoutMs > 0 ? timeoutMs / 2 : Infinity),
    );
    this.#connections.drain();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => {
      if (timeoutMs > 0) timer = setTimeout(() => resolve("late"), timeoutMs);
    });
    const idle = this.#door.idle().then(() => "idle" as const);
    const closed = this.#finished.promise.then(() => "closed" as const);
    const outcome = await Promise.race([idle, deadline, closed]);
    clearTimeout(timer);
    if (outcome === "closed") throw closedMeanwhile();
    // A busy thread may learn late that nothing is left; then nothing is cut.
    const isLate = outcome === "late" && this.#door.size > 0;
    const error = isLate ? this.#cutLate(timeoutMs) : drainLeft(this.#connections.left);
    if (error !== null && this.#drainsUnasked) this.#reporter.report(error, { phase: "drain" });
    this.#stop();
    if (error !== null) throw error;
  }

  #cutLate(timeoutMs: number): TimeoutError {
    const error = drainedLate(timeoutMs, this.#door.size, this.#connections.held);
    this.#connections.cut(error);
    return error;
  }

  #stopListening(reason: ClosedError, graceMs: number): void {
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#door.close(reason, graceMs);
    this.#leaving.abort();
  }

  #stop(): void {
    if (this.#state === "stopped") return;
    const hadListened = this.#state !== "created";
    // Ends the grace of handshakes.
    this.#door.close(new ClosedError("ERR_CLOSED", "The server has stopped"));
    this.#tally.stop();
    this.#setState("stopped");
    if (hadListened) void this.#door.stopped.then(() => this.#finished.resolve());
  }

  #setState(state: ServerState): void {
    this.#state = state;
    this.#reporter.entered(state, this.#door.addr, this.#connections.live.size);
    this.#reporter.guard(() => this.#options.given.onStateChange?.(state));
  }
}
