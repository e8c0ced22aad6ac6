// Server: the accept loop, the connections and their handlers, and the end in order.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Connection } from "../connection.ts";
import { Sweeper } from "../async/sweeper.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { pause } from "../async/pause.ts";
import { Admission, type RefusalReason, type Ticket } from "../limits/admission.ts";
import { checkDurationMs } from "../options/check.ts";
import { Penalties } from "../limits/penalties.ts";
import { SourceExemptions } from "../limits/source_exemptions.ts";
import { listen } from "../net/listen.ts";
import type { Address, Incoming, Listener } from "../net/transport/transport.ts";
import { acceptLoop } from "../accept/accept_loop.ts";
import { ErrorReporter } from "./error_reporter.ts";
import { Handshakes } from "../accept/handshakes.ts";
import type { ServerState } from "../accept/server_state.ts";
import type { Handler, ResolvedServeOptions } from "./options.ts";
import { callerOf, noAddress, Outcome, pointToCaller } from "./outcome.ts";
import { Sessions } from "./sessions.ts";
import { ServerTally } from "./tally.ts";
import type { ConnectionStats, ServerStats } from "../stats/data/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import { certificateStats } from "../tls/expiry.ts";
import { openServerCredentials } from "../tls/load.ts";
import type { CredentialSource } from "../tls/handshake/options.ts";

/** How {@linkcode Server.shutdown} may be bounded. */
export interface ShutdownOptions {
  /** Ms for connections to end in order, then the rest is cut; 0 for no limit. @default {`drainTimeoutMs`} */
  timeoutMs?: number | undefined;
  /** Ms before that, in which the server works on but is not ready. @default {`drainDelayMs`} */
  delayMs?: number | undefined;
}

const SHUTDOWN_NAMES: OptionNames<ShutdownOptions> = { timeoutMs: true, delayMs: true };

/** Ms for handshakes when a drain begins: a client may have finished its own and sent a question. */
const HANDSHAKE_GRACE_MS = 200;

/** A running server; {@linkcode serve} makes it. Methods may be called concurrently and share one drain. */
export class Server<Data = unknown> implements AsyncDisposable {
  readonly #options: ResolvedServeOptions<Data>;
  readonly #reporter: ErrorReporter<Data>;
  readonly #sweeper = new Sweeper();
  readonly #admission: Admission<AbortController>;
  readonly #handshakes: Handshakes;
  readonly #tally: ServerTally;
  readonly #sessions: Sessions<Data>;
  /** Connections whose handler runs or which are being closed, and handshakes. */
  readonly #running = new Set<Promise<void>>();
  /** Aborts what waits for newcomers: the accept loop. */
  readonly #stopping = new AbortController();
  /** Aborts handshakes. */
  readonly #givingUp = new AbortController();
  readonly #ready = new Outcome();
  readonly #finished = new Outcome();
  /** Where in the program this server was made. */
  readonly #caller = callerOf(Server);
  /** Ends the delay before a drain. */
  readonly #leaving = new AbortController();
  #state: ServerState = "created";
  #listener: Listener | null = null;
  /** The accept loop; a listener's descriptor is free once a waiting accept has ended. */
  #accepting: Promise<void> = Promise.resolve();
  #credentials: CredentialSource | null = null;
  #shutdown: Promise<void> | null = null;
  /** Whether the signal began the drain: then only `onError` can learn how it went. */
  #drainsUnasked = false;
  #referenced = true;

  /** @ignore use {@linkcode serve} */
  constructor(options: ResolvedServeOptions<Data>, handler: Handler<Data>) {
    this.#options = options;
    const exemptions = new SourceExemptions(options.given);
    const penalties = new Penalties(options.given.penalties, exemptions);
    this.#admission = new Admission(options.admission, { penalties, exemptions });
    const reporter = this.#reporter = new ErrorReporter(options.given.onError, options.logger);
    const tally = this.#tally = new ServerTally(this.#sweeper, reporter.recent, options.closedLog);
    this.#sessions = new Sessions(options, { handler, reporter, tally, sweeper: this.#sweeper });
    this.#handshakes = new Handshakes(this.#admission, penalties, tally, {
      timeoutMs: options.handshakeTimeoutMs,
      stopping: this.#givingUp.signal,
      isInstant: options.given.tls === undefined,
      protocol: options.given.tls === undefined ? null : "messages",
      onFailed: (error, { remoteAddr }) => reporter.report(error, { phase: "handshake", remoteAddr }),
      onRefused: (incoming, reason) => this.#onRefused(incoming, reason),
    });
    // Not before `serve` has returned: hooks may use its result.
    queueMicrotask(() => void this.#start());
  }

  /** Resolves when the server listens; rejects when it cannot. */
  get ready(): Promise<void> {
    return this.#ready.ask();
  }

  /** Resolves when the server has stopped and its descriptors are free; rejects if it could not listen. */
  get finished(): Promise<void> {
    return this.#finished.ask();
  }

  /**
   * Where the server listens, with the real port. Known once {@linkcode ready} has resolved.
   *
   * @throws {ClosedError} `ERR_CLOSED` when it does not listen yet, or never did
   */
  get addr(): Address {
    if (this.#listener !== null) return this.#listener.addr;
    throw noAddress("server", this.#state);
  }

  /** Where in its life the server is. */
  get state(): ServerState {
    return this.#state;
  }

  /** Live connections by id. */
  get connections(): ReadonlyMap<string, Connection<Data>> {
    return this.#sessions.connections;
  }

  /** Counters as they are now, over all and by day. */
  stats(): ServerStats {
    const address = this.#listener?.addr ?? null;
    const connections = this.#sessions.connections.values();
    const stats = this.#tally.snapshot(this.#state, address, connections, this.#admission);
    return Object.freeze({ ...stats, ...certificateStats(this.#credentials) });
  }

  /** Connections that have ended, the newest first: 10000 for an hour, unless `closedLog` says otherwise. */
  closedConnections(): readonly ConnectionStats[] {
    return this.#tally.closedConnections();
  }

  /** What a connection has done, live or ended; `undefined` when the id was never used, or too long ago. */
  connectionStats(id: string): ConnectionStats | undefined {
    return this.#sessions.connections.get(id)?.stats() ?? this.#tally.closedConnection(id);
  }

  /** Lets the process live while the server runs (the default). */
  ref(): void {
    this.#setReferenced(true);
  }

  /** Lets the process end although the server runs. */
  unref(): void {
    this.#setReferenced(false);
  }

  /**
   * Drains, after `drainDelayMs`: accepts no more, reads what has arrived ({@linkcode Connection.drain}),
   * lets the handlers finish, writes what they sent, closes. Idempotent: a second call shares the deadline
   * and the outcome of the first.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when the time ran out, or a peer sent more than a drain
   * reads: it counts the connections and bytes that were cut
   * @throws {ClosedError} `ERR_CLOSED` when {@linkcode abort} cut connections before they had ended
   * @throws {RangeError} when `timeoutMs` is out of range
   */
  shutdown(options: ShutdownOptions = {}): Promise<void> {
    if (this.#shutdown !== null) return this.#shutdown;
    const { timeoutMs = this.#options.drainTimeoutMs, delayMs = this.#options.drainDelayMs } = options;
    checkOptionNames("Cannot shut down", options, SHUTDOWN_NAMES);
    checkDurationMs("Cannot shut down", "timeoutMs", timeoutMs, { allowOff: true });
    checkDurationMs("Cannot shut down", "delayMs", delayMs, { allowOff: true });
    // Set before any hook is called: a hook may call shutdown() again.
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
    this.#stopListening(new ClosedError("ERR_CLOSED", "The server was aborted", options));
    this.#sessions.cut(
      new ClosedError("ERR_CLOSED", "The connection was cut: the server was aborted", options),
    );
    this.#stop();
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #start(): Promise<void> {
    const { given } = this.#options;
    let listener: Listener;
    try {
      if (lookForTelemetry()) await loadTelemetry();
      this.#assertStarting();
      given.signal?.addEventListener("abort", this.#onSignal, { once: true });
      listener = await this.#listen();
      // In one turn with what follows: an end that comes in between would find no listener to close.
      try {
        this.#assertStarting();
      } catch (error) {
        listener.close();
        throw error;
      }
    } catch (error) {
      this.#failToStart(error);
      return;
    }
    this.#listener = listener;
    this.#begin(listener);
  }

  #begin(listener: Listener): void {
    if (!this.#referenced) listener.unref();
    this.#tally.start(listener.addr);
    const { warning } = this.#options;
    if (warning !== undefined) this.#reporter.warn(warning);
    this.#setState("listening");
    this.#ready.resolve();
    this.#reporter.guard(() => this.#options.given.onListen?.(this.addr));
    this.#accepting = acceptLoop(listener, this.#admission, {
      onAdmitted: (incoming, ticket) => this.#track(this.#welcome(incoming, ticket)),
      onRefused: (incoming, reason) => this.#onRefused(incoming, reason),
      onReplaced: (ticket) => this.#handshakes.replace(ticket),
      onFault: (error) => this.#reporter.report(error, { phase: "accept" }),
    }, this.#stopping.signal);
  }

  #onRefused({ remoteAddr }: Incoming, reason: RefusalReason): void {
    this.#tally.counters.connectionsRefused++;
    this.#reporter.refused(reason, remoteAddr, this.#admission);
  }

  async #listen(): Promise<Listener> {
    const { given, backlog, maxWaiting, noDelay, keepAlive, proxySources } = this.#options;
    if (given.tls !== undefined) {
      this.#credentials = await openServerCredentials(given.tls, {
        onError: (error) => this.#reporter.report(error, { phase: "certificates" }),
      });
      this.#assertStarting();
    }
    const tls = this.#credentials === null ? undefined : { ...given.tls, credentials: this.#credentials };
    const where = given.path === undefined
      ? { hostname: given.hostname, port: given.port ?? 0, reusePort: given.reusePort, tls }
      : { path: given.path, mode: given.mode ?? 0o600, tls };
    return await listen(where, {
      backlog,
      maxWaiting,
      noDelay,
      keepAlive,
      proxySources,
      canReset: given.canReset,
    });
  }

  /** Throws when the server was ended before it listened. */
  #assertStarting(): void {
    this.#options.given.signal?.throwIfAborted();
    if (this.#state === "created") return;
    throw new ClosedError("ERR_CLOSED", "Cannot listen: the server was closed before it listened");
  }

  readonly #onSignal = (): void => {
    this.#drainsUnasked = this.#shutdown === null;
    void this.shutdown();
  };

  #failToStart(error: unknown): void {
    const { signal } = this.#options.given;
    signal?.removeEventListener("abort", this.#onSignal);
    this.#credentials?.close();
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

  /** Finishes the handshake of a connection that was let in, and serves it. Never rejects. */
  async #welcome(incoming: Incoming, ticket: Ticket<AbortController>): Promise<void> {
    const transport = await this.#handshakes.finish(incoming, ticket);
    if (transport === null) return;
    await this.#sessions.serve(transport, incoming);
    this.#admission.release(ticket);
  }

  #track(task: Promise<void>): void {
    this.#running.add(task);
    void task.then(() => this.#running.delete(task));
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
    this.#setState(before === "created" ? "stopped" : "draining");
    this.#stopListening(new ClosedError("ERR_GOING_AWAY", "The server is draining"));
    if (before === "created") return await this.#finished.promise.catch(() => {});
    this.#sessions.drain();
    const graceMs = Math.min(HANDSHAKE_GRACE_MS, timeoutMs > 0 ? timeoutMs / 2 : Infinity);
    const grace = setTimeout(() => this.#givingUp.abort(this.#stopping.signal.reason), graceMs);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => {
      if (timeoutMs > 0) timer = setTimeout(() => resolve("late"), timeoutMs);
    });
    const closed = this.#finished.promise.then(() => "closed" as const);
    const outcome = await Promise.race([this.#idle(), deadline, closed]);
    clearTimeout(timer);
    clearTimeout(grace);
    if (outcome === "closed") throw closedMeanwhile();
    const error = outcome === "late" ? this.#cutLate(timeoutMs) : this.#leftError();
    if (error !== null && this.#drainsUnasked) this.#reporter.report(error, { phase: "drain" });
    this.#stop();
    if (error !== null) throw error;
  }

  /** Waits until no handler runs and no connection is open. */
  async #idle(): Promise<"idle"> {
    await this.#accepting;
    while (this.#running.size > 0) await Promise.all(this.#running);
    return "idle";
  }

  #cutLate(timeoutMs: number): TimeoutError {
    const { connections: cutConnections, bytes: cutBytes } = this.#sessions.held;
    const error = new TimeoutError(
      "ERR_DRAIN_TIMEOUT",
      `Cannot drain within ${timeoutMs} ms: ${count(this.#running.size, "handler")} still ran, ` +
        `${count(cutConnections, "connection")} with ${
          count(cutBytes, "byte")
        } received or not yet sent were cut`,
      { cutConnections, cutBytes },
    );
    this.#sessions.cut(error);
    return error;
  }

  /** Names peers whose bytes from before the drain may not all have been read; `null` when none. */
  #leftError(): TimeoutError | null {
    const { connections: cutConnections, bytes: cutBytes } = this.#sessions.left;
    if (cutConnections === 0) return null;
    return new TimeoutError(
      "ERR_DRAIN_TIMEOUT",
      `Cannot drain all that had arrived: ${count(cutConnections, "connection")} went on sending, ` +
        `${count(cutBytes, "byte")} that came were dropped`,
      { cutConnections, cutBytes },
    );
  }

  #stopListening(reason: ClosedError): void {
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#admission.drain();
    this.#listener?.close();
    this.#credentials?.close();
    this.#stopping.abort(reason);
    this.#leaving.abort();
  }

  #stop(): void {
    if (this.#state === "stopped") return;
    const hadListened = this.#state !== "created";
    this.#givingUp.abort(this.#stopping.signal.reason);
    this.#tally.stop();
    this.#setState("stopped");
    if (hadListened) void this.#accepting.then(() => this.#finished.resolve());
  }

  #setState(state: ServerState): void {
    this.#state = state;
    this.#reporter.told(state, this.#listener?.addr, this.#sessions.connections.size);
    this.#reporter.guard(() => this.#options.given.onStateChange?.(state));
  }

  #setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    referenced ? this.#listener?.ref() : this.#listener?.unref();
    this.#sessions.setReferenced(referenced);
  }
}

function closedMeanwhile(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot drain to the end: the server was closed meanwhile");
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
