// WorkersServer: one server whose connections are spread over threads.
import { listen } from "../net/listen.ts";
import type { ServerState } from "../accept/server_state.ts";
import { pause } from "../async/pause.ts";
import { TimeoutError } from "../errors.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { checkDurationMs } from "../options/check.ts";
import type { Address } from "../net/transport/transport.ts";
import { closedMeanwhile } from "../server/drain_errors.ts";
import { noAddress } from "../server/outcome.ts";
import type { ShutdownOptions } from "../server/server.ts";
import type { ServerStats } from "../stats/data/snapshots.ts";
import { certificateStats } from "../tls/expiry.ts";
import type { CredentialSource } from "../tls/handshake/options.ts";
import { openServerCredentials } from "../tls/load.ts";
import { ConnectionPlaces } from "./connection_places.ts";
import { decodeError } from "./error_message.ts";
import type { DrainReport } from "./messages.ts";
import type { ResolvedWorkersOptions } from "./options.ts";
import { WorkersReporter } from "./reporter.ts";
import { WorkerSlot } from "./worker_slot.ts";
import { WorkersTally } from "./workers_tally.ts";

const SHUTDOWN_NAMES: OptionNames<ShutdownOptions> = { timeoutMs: true, delayMs: true };

/** Log lines for a new state. */
const STATES: Readonly<Record<ServerState, string>> = {
  created: "Created",
  listening: "Listening",
  leaving: "Leaving",
  draining: "Draining",
  stopped: "Stopped",
};

/**
 * A running server of workers; `serveWorkers` makes it. Every method may be called at any moment, in
 * every state; calls of {@linkcode shutdown} share one drain.
 *
 * Its connections live in the threads of the workers, so there is no map of them here: `stats()`
 * lists what is known of each.
 */
export class WorkersServer implements AsyncDisposable {
  readonly #options: ResolvedWorkersOptions;
  readonly #reporter: WorkersReporter;
  readonly #tally: WorkersTally;
  readonly #slots: readonly WorkerSlot[];
  readonly #finished: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Ends the delay before a drain, and the start. */
  readonly #stopping = new AbortController();
  #credentials: CredentialSource | null = null;
  #state: ServerState = "created";
  #addr: Address | null = null;
  #shutdown: Promise<void> | null = null;
  #drainsUnasked = false;

  /** @ignore use `serveWorkers` */
  constructor(options: ResolvedWorkersOptions) {
    this.#options = options;
    const { given, server, workers, module, passed } = options;
    const { onError } = given;
    this.#reporter = new WorkersReporter(onError, server.logger);
    const { maxWaiting = 1 } = server.listen.listenOptions;
    const allPlaces = ConnectionPlaces.allocate();
    this.#tally = new WorkersTally(new ConnectionPlaces(allPlaces, ConnectionPlaces.allocate()));
    const { minVersion, maxVersion, alpnProtocols, backend } = given.tls ?? {};
    const plan = {
      module,
      input: given.input,
      options: { ...passed, maxConnections: server.door.admission.maxConnections },
      tls: given.tls && { minVersion, maxVersion, alpnProtocols, backend },
      maxWaiting: Math.ceil(maxWaiting / workers),
      allPlaces,
    };
    this.#slots = Array.from({ length: workers }, (_, index) => {
      const worker = index + 1;
      return new WorkerSlot({
        worker,
        plan,
        credentials: () => this.#credentials?.current,
        events: {
          onError: (error, place, line) => this.#reporter.report(error, { ...place, worker }, line),
          onDeath: (error, lostConnections) =>
            this.#reporter.report(error, { phase: "worker", worker, lostConnections }),
          onEnd: (books) => this.#tally.add(books),
        },
      });
    });
  }

  /** Resolves: a server of workers is made when it listens. */
  get ready(): Promise<void> {
    return Promise.resolve();
  }

  /** Resolves when the server is stopped, and all its threads have ended. Never rejects. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Where the server listens, with the real port. */
  get addr(): Address {
    if (this.#addr === null) throw noAddress("server", this.#state);
    return this.#addr;
  }

  /** The current state. */
  get state(): ServerState {
    return this.#state;
  }

  /** Threads that serve, or are about to be started again. */
  get workers(): number {
    return this.#slots.length;
  }

  /**
   * The current counters of all workers together, in total and by day. They keep what a worker
   * counted that died.
   *
   * `connections`, `pendingNow` and `queuedBytes` are what the workers said last: a call asks them
   * for the next time. So a caller that asks every second sees what is one second old.
   */
  stats(): ServerStats {
    for (const slot of this.#slots) slot.askForLook();
    const stats = this.#tally.snapshot({
      state: this.#state,
      address: this.#addr,
      slots: this.#slots,
      recent: this.#reporter.recent,
    });
    return Object.freeze({ ...stats, ...certificateStats(this.#credentials) });
  }

  /** Lets the process live while the server runs (the default). */
  ref(): void {
    for (const slot of this.#slots) slot.setReferenced(true);
  }

  /** Lets the process end although the server runs. */
  unref(): void {
    for (const slot of this.#slots) slot.setReferenced(false);
  }

  /**
   * Drains all workers side by side, as `Server.shutdown` does, after `drainDelayMs` if there is
   * any. Idempotent: a second call shares the first one's deadline and outcome.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when the time ran out, or a peer sent more than is
   * read while draining: it counts the connections and bytes that were cut, over all workers
   * @throws {ClosedError} `ERR_CLOSED` when {@linkcode abort} cut connections before they had ended
   * @throws {RangeError} when `timeoutMs` is out of range
   */
  shutdown(options: ShutdownOptions = {}): Promise<void> {
    if (this.#shutdown !== null) return this.#shutdown;
    const { drainTimeoutMs, drainDelayMs } = this.#options.server;
    const { timeoutMs = drainTimeoutMs, delayMs = drainDelayMs } = options;
    checkOptionNames("Cannot shut down", options, SHUTDOWN_NAMES);
    checkDurationMs("Cannot shut down", "timeoutMs", timeoutMs, { allowOff: true });
    checkDurationMs("Cannot shut down", "delayMs", delayMs, { allowOff: true });
    // Set before any hook runs: a hook may call shutdown() again.
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#shutdown = promise;
    promise.catch(() => {});
    this.#drain(timeoutMs, delayMs).then(resolve, reject);
    return promise;
  }

  /** Stops now: every connection is cut. `reason` becomes the cause of their errors. Idempotent. */
  abort(reason?: unknown): void {
    if (this.#state === "stopped") return;
    const ended = this.#slots.map((slot) => slot.abort(reason));
    this.#stop(ended);
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /**
   * Loads the certificates, starts the workers, and waits until all of them listen.
   *
   * @ignore use `serveWorkers`
   * @throws what keeps one of them from it; nothing runs then
   */
  async start(): Promise<void> {
    const { signal, tls } = this.#options.given;
    try {
      signal?.throwIfAborted();
      signal?.addEventListener("abort", this.#onSignal, { once: true });
      if (tls !== undefined) await this.#loadCertificates(tls);
      await this.#listen();
      signal?.throwIfAborted();
    } catch (error) {
      this.abort();
      await this.#finished.promise;
      throw signal?.aborted ? signal.reason : error;
    }
    this.#begin();
  }

  async #loadCertificates(
    tls: NonNullable<ResolvedWorkersOptions["given"]["tls"]>,
  ): Promise<void> {
    const credentials = this.#credentials = await openServerCredentials(tls, {
      onError: (error) => this.#reporter.report(error, { phase: "certificates" }),
    });
    credentials.subscribe((next) => {
      for (const slot of this.#slots) slot.renew(next);
    });
  }

  /** One worker picks the port, if it is 0; the others then share it. */
  async #listen(): Promise<void> {
    const { given } = this.#options;
    const { path, mode, hostname, port = 0, reusePort = false } = given;
    const [first, ...others] = this.#slots;
    if (path !== undefined) {
      this.#addr = await first!.start({ path, mode });
      return;
    }
    // Workers share a port with each other, which must not let them share it with a stranger.
    if (port !== 0 && !reusePort) (await listen({ hostname, port })).close();
    const sharing = others.length > 0 || reusePort
      ? { reusePort: true, ...this.#withoutFlag() }
      : {};
    const addr = this.#addr = await first!.start({ hostname, port, ...sharing });
    if (addr.transport !== "tcp") return;
    const where = { hostname: addr.hostname, port: addr.port, ...sharing };
    await Promise.all(others.map((slot) => slot.start(where)));
    first!.listenAt(where);
  }

  /**
   * Sockets of Deno share a port only with a flag that its user may not have set; those of node:net
   * share it always.
   */
  #withoutFlag(): { readonly canReset?: boolean } {
    const { tls, canReset } = this.#options.given;
    const needsFlag = tls === undefined && canReset === undefined && !("listenDatagram" in Deno);
    return needsFlag ? { canReset: true } : {};
  }

  #begin(): void {
    const { given, server } = this.#options;
    this.#tally.start(this.#slots);
    for (const slot of this.#slots) slot.keep();
    if (server.warning !== undefined) this.#reporter.log("warn", "warning", server.warning, {});
    this.#setState("listening");
    this.#reporter.guard(() => given.onListen?.(this.addr));
  }

  readonly #onSignal = (): void => {
    if (this.#state === "created") return;
    this.#drainsUnasked = this.#shutdown === null;
    void this.shutdown();
  };

  async #drain(timeoutMs: number, delayMs: number): Promise<void> {
    if (this.#state === "stopped") return;
    if (delayMs > 0) {
      this.#setState("leaving");
      await pause(delayMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) throw closedMeanwhile();
    }
    this.#setState("draining");
    const drained = Promise.all(this.#slots.map((slot) => slot.drain(timeoutMs)));
    const aborted = this.#finished.promise.then(() => null);
    const reports = await Promise.race([drained, aborted]);
    if (reports === null || this.#stopping.signal.aborted) throw closedMeanwhile();
    const error = drainError(reports);
    if (error !== null && this.#drainsUnasked) this.#reporter.report(error, { phase: "drain" });
    this.#stop([]);
    if (error !== null) throw error;
  }

  /** Ends everything but the threads, whose ends are waited for. */
  #stop(ended: readonly Promise<void>[]): void {
    if (this.#state === "stopped") return;
    this.#stopping.abort();
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#credentials?.close();
    this.#tally.stop();
    this.#setState("stopped");
    void Promise.all(ended).then(() => this.#finished.resolve());
  }

  #setState(state: ServerState): void {
    const hadListened = this.#addr !== null;
    this.#state = state;
    if (!hadListened) return;
    const { connectionsOpened, connectionsClosed } = this.#tally.counters(this.#slots);
    this.#reporter.log("info", "state", STATES[state], {
      state,
      address: this.#addr,
      workers: this.#slots.length,
      connections: connectionsOpened - connectionsClosed,
    });
    this.#reporter.guard(() => this.#options.given.onStateChange?.(state));
  }
}

/** What a drain had to cut, over all workers; `null` when that is nothing. */
function drainError(reports: readonly DrainReport[]): TimeoutError | null {
  const failed = reports.filter(({ error }) => error !== null);
  if (failed.length === 0) return null;
  const sum = (of: (report: DrainReport) => number) =>
    failed.reduce((all, one) => all + of(one), 0);
  const cutConnections = sum((report) => report.cutConnections);
  const cutBytes = sum((report) => report.cutBytes);
  // Their own deadlines say no more than this one.
  const cause = failed.map(({ error }) => decodeError(error!)).find((one) =>
    !(one instanceof TimeoutError)
  );
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot drain ${failed.length} of ${reports.length} workers in order: connections cut: ` +
      `${cutConnections}, with ${cutBytes} bytes received or not yet sent`,
    { cutConnections, cutBytes, ...cause !== undefined && { cause } },
  );
}
