// WorkerGroup: threads that share a port, as one server: their start, their drain and their end.
import { listen } from "../net/listen.ts";
import type { ServerState } from "../accept/server_state.ts";
import { pause } from "../async/pause.ts";
import type { Address } from "../net/transport/transport.ts";
import { closedMeanwhile } from "../server/drain_errors.ts";
import { noAddress } from "../server/outcome.ts";
import { STATES } from "../server/reporter.ts";
import { type ShutdownOptions, shutdownTimes } from "../server/shutdown_options.ts";
import type { CertificateStats, RecentError } from "../stats/data/snapshots.ts";
import { certificateStats } from "../tls/expiry.ts";
import type { CredentialSource, ServerTlsOptions } from "../tls/handshake/options.ts";
import { openServerCredentials } from "../tls/load.ts";
import { ConnectionPlaces } from "./connection_places.ts";
import type { DrainReport } from "./messages.ts";
import type { GroupPlan } from "./group_plan.ts";
import { type GroupErrorContext, WorkersReporter } from "./reporter.ts";
import { type SlotCounters, type StartPlan, WorkerSlot } from "./worker_slot.ts";
import { type WorkersSnapshot, WorkersTally } from "./workers_tally.ts";

/** What is known of all workers together. */
export interface GroupView<Counters extends SlotCounters<Counters>, Look> {
  readonly state: ServerState;
  readonly address: Address | null;
  readonly counted: WorkersSnapshot<Counters>;
  /** Of the workers that have reported one. */
  readonly looks: readonly Look[];
  readonly recentErrors: readonly RecentError[];
  readonly certificate: { readonly certificate?: CertificateStats | undefined };
}

/** What a group is made of. */
export interface GroupKind<Counters extends SlotCounters<Counters>> {
  /** Makes counters that are all 0. */
  readonly zero: () => Counters;
  /** Takes messages that only workers of this kind send. */
  readonly onOwn?: ((body: unknown, worker: number) => void) | undefined;
  /** The thread of a worker has ended. */
  readonly onEnd?: ((worker: number) => void) | undefined;
  /** The error of a drain that could not end in order; `null` when it could. */
  readonly drainError: (reports: readonly DrainReport[]) => Error | null;
}

/**
 * Several threads on one port, as one server: what `serveWorkers` and `mountWorkers` have in common.
 * Every method may be called at any moment, in every state; calls of {@linkcode shutdown} share one
 * drain.
 *
 * @typeParam Look What a worker reports of itself beside its counters
 */
export class WorkerGroup<
  Counters extends SlotCounters<Counters>,
  Look,
  Context extends GroupErrorContext,
> {
  readonly #plan: GroupPlan<Context>;
  readonly #kind: GroupKind<Counters>;
  readonly #reporter: WorkersReporter;
  readonly #tally: WorkersTally<Counters>;
  readonly #slots: readonly WorkerSlot<Counters, Look>[];
  readonly #finished: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Ends the delay before a drain, and the start. */
  readonly #stopping = new AbortController();
  #credentials: CredentialSource | null = null;
  #state: ServerState = "created";
  #addr: Address | null = null;
  #shutdown: Promise<void> | null = null;
  #drainsUnasked = false;

  constructor(plan: GroupPlan<Context>, kind: GroupKind<Counters>) {
    this.#plan = plan;
    this.#kind = kind;
    const { given, workers } = plan;
    const onError = given.onError as
      | ((error: unknown, context: GroupErrorContext) => void)
      | undefined;
    this.#reporter = new WorkersReporter(onError, plan.logger);
    const allPlaces = ConnectionPlaces.allocate();
    const places = new ConnectionPlaces(allPlaces, ConnectionPlaces.allocate());
    this.#tally = new WorkersTally(kind.zero, places);
    const start = startPlan(plan, allPlaces);
    this.#slots = Array.from(
      { length: workers },
      (_, index) => this.#newSlot(index + 1, start),
    );
  }

  #newSlot(worker: number, plan: StartPlan): WorkerSlot<Counters, Look> {
    const { onOwn, onEnd } = this.#kind;
    return new WorkerSlot({
      worker,
      plan,
      names: this.#tally.names,
      credentials: () => this.#credentials?.current,
      events: {
        onError: (error, place, line) => this.#reporter.report(error, { ...place, worker }, line),
        onDeath: (error, lostConnections) =>
          this.#reporter.report(error, { phase: "worker", worker, lostConnections }),
        onEnd: (books) => {
          this.#tally.add(books);
          onEnd?.(worker);
        },
        onLine: ({ level, message }, fields) =>
          this.#reporter.log(level, message, message, { ...fields, worker }),
        onOwn: (body) => onOwn?.(body, worker),
      },
    });
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

  /** What all workers together have done, as a snapshot begins; asks them for their next look. */
  see(): GroupView<Counters, Look> {
    for (const slot of this.#slots) slot.askForLook();
    return {
      state: this.#state,
      address: this.#addr,
      counted: this.#tally.snapshot(this.#slots),
      looks: this.#slots.map(({ look }) => look).filter((look) => look !== null),
      recentErrors: this.#reporter.recent.list(),
      certificate: certificateStats(this.#credentials),
    };
  }

  /** Sends a message that only workers of this kind know. */
  post(worker: number, body: unknown): void {
    this.#slots[worker - 1]!.post(body);
  }

  /** Whether the threads keep the process alive. */
  setReferenced(referenced: boolean): void {
    for (const slot of this.#slots) slot.setReferenced(referenced);
  }

  /**
   * Drains all workers side by side, after `drainDelayMs` if there is any. Idempotent: a second
   * call shares the first one's deadline and outcome.
   *
   * @throws what `drainError` returns
   * @throws {ClosedError} `ERR_CLOSED` when {@linkcode abort} cut connections before they had ended
   * @throws {RangeError} when `timeoutMs` is out of range
   */
  shutdown(options: ShutdownOptions = {}): Promise<void> {
    if (this.#shutdown !== null) return this.#shutdown;
    const { timeoutMs, delayMs } = shutdownTimes(options, this.#plan);
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

  /**
   * Loads the certificates, starts the workers, and waits until all of them listen.
   *
   * @throws what keeps one of them from it; nothing runs then
   */
  async start(): Promise<void> {
    const { signal, tls } = this.#plan.given;
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
    tls: ServerTlsOptions,
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
    const { given } = this.#plan;
    const { path, mode, hostname, port = 0, reusePort = false } = given;
    const [first, ...others] = this.#slots;
    if (path !== undefined) {
      this.#addr = await this.#startOne(first!, { path, mode });
      return;
    }
    // Workers share a port with each other, which must not let them share it with a stranger.
    if (port !== 0 && !reusePort) (await listen({ hostname, port })).close();
    const sharing = others.length > 0 || reusePort
      ? { reusePort: true, ...this.#withoutFlag() }
      : {};
    const addr = this.#addr = await this.#startOne(first!, { hostname, port, ...sharing });
    if (addr.transport !== "tcp") return;
    const where = { hostname: addr.hostname, port: addr.port, ...sharing };
    await Promise.all(others.map((slot) => this.#startOne(slot, where)));
    first!.listenAt(where);
  }

  /** Starts a worker, unless the signal has ended the start: it ends those that are starting then. */
  async #startOne(
    slot: WorkerSlot<Counters, Look>,
    where: Readonly<Record<string, unknown>>,
  ): Promise<Address> {
    this.#plan.given.signal?.throwIfAborted();
    try {
      return await slot.start(where);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "DataCloneError") throw error;
      throw new TypeError(`Cannot start a worker: "input" must be plain data: ${error.message}`, {
        cause: error,
      });
    }
  }

  /**
   * Sockets of Deno share a port only with a flag that its user may not have set; those of node:net
   * share it always.
   */
  #withoutFlag(): { readonly canReset?: boolean } {
    const { tls, canReset } = this.#plan.given;
    const needsFlag = tls === undefined && canReset === undefined && !("listenDatagram" in Deno);
    return needsFlag ? { canReset: true } : {};
  }

  #begin(): void {
    const { given, warning } = this.#plan;
    this.#tally.start(this.#slots);
    for (const slot of this.#slots) slot.keep();
    if (warning !== undefined) this.#reporter.log("warn", "warning", warning, {});
    this.#setState("listening");
    this.#reporter.guard(() => given.onListen?.(this.addr));
  }

  readonly #onSignal = (): void => {
    if (this.#state === "created") {
      // start() sees that they ended. A module that is never loaded must not keep it waiting.
      for (const slot of this.#slots) void slot.abort(this.#plan.given.signal!.reason);
      return;
    }
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
    const error = this.#kind.drainError(reports);
    if (error !== null && this.#drainsUnasked) this.#reporter.report(error, { phase: "drain" });
    this.#stop([]);
    if (error !== null) throw error;
  }

  /** Ends everything but the threads, whose ends are waited for. */
  #stop(ended: readonly Promise<void>[]): void {
    if (this.#state === "stopped") return;
    this.#stopping.abort();
    this.#plan.given.signal?.removeEventListener("abort", this.#onSignal);
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
    this.#reporter.guard(() => this.#plan.given.onStateChange?.(state));
  }
}

/** What every start of a worker has in common. */
function startPlan<Context>(plan: GroupPlan<Context>, allPlaces: SharedArrayBuffer): StartPlan {
  const { given, workers, runs, threadUrl, module, passed, maxConnections, maxWaiting } = plan;
  const { minVersion, maxVersion, alpnProtocols, backend } = given.tls ?? {};
  return {
    runs,
    threadUrl,
    module,
    input: given.input,
    options: { ...passed, maxConnections },
    tls: given.tls && { minVersion, maxVersion, alpnProtocols, backend },
    maxWaiting: Math.ceil(maxWaiting / workers),
    allPlaces,
  };
}
