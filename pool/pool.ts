// Pool: leases of connections to several backends.
import type { CloseOptions } from "../options/close.ts";
import { watchWait } from "../async/wait.ts";
import { endsWithin } from "../async/deadline.ts";
import { checkOptionNames, checkWaitNames, type OptionNames } from "../options/names.ts";
import { POOL_NAMES } from "./option_names.ts";
import { checkDurationMs } from "../options/check.ts";
import { ignoreRejection, rejected, reportUnheard } from "../async/rejections.ts";
import { Sweeper, type Swept } from "../async/sweeper.ts";
import { ClosedError, LimitError, TimeoutError } from "../errors.ts";
import type { PoolBackend } from "./backend.ts";
import { Acquirer, PoolEngine } from "./engine.ts";
import type { AcquireOptions, Lease } from "./lease.ts";
import { type Backend, type PoolOptions, resolvePoolOptions } from "./options.ts";
import { Roster } from "./roster.ts";
import type { PoolStats } from "../stats/data/pool_stats.ts";
import { runWork, type UseOptions, type Work } from "./use.ts";

/** The backends that `acquire` should avoid: none. */
const NONE: ReadonlySet<string> = new Set();

/** How long a drain may take. */
export interface PoolDrainOptions {
  /** Time in ms for leases to end; then they are cut. @default {`drainTimeoutMs`} */
  timeoutMs?: number | undefined;
}

const DRAIN_NAMES: OptionNames<PoolDrainOptions> = { timeoutMs: true };

/**
 * Leases connections to several backends, which it opens on demand and uses again.
 *
 * Work goes to healthy backends: a circuit breaker, a comparison with the other backends and, if
 * you set one, a health check find those that are not.
 *
 * All methods may be called concurrently; callers are served in the order of their calls.
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley";
 * import { Pool } from "@parley/parley/pool";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const question of conn) await conn.send(question);
 * });
 * await server.ready;
 *
 * await using pool = new Pool({ backends: [server.addr] });
 * const answer = await pool.use(async (conn, { signal }) => {
 *   await conn.send("Hi!");
 *   return await conn.receive({ signal, timeoutMs: 1_000 });
 * });
 * assertEquals(answer, new TextEncoder().encode("Hi!"));
 * assertEquals(pool.stats().backends[0]?.leases, 1);
 * ```
 */
export class Pool implements AsyncDisposable {
  readonly #engine: PoolEngine;
  readonly #roster: Roster;
  readonly #sweeper = new Sweeper();
  readonly #upkeep: Swept = {
    sweep: (nowMs) => {
      this.#engine.sweep(nowMs);
      this.#roster.sweep(nowMs);
    },
  };
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: "open" | "closing" | "closed" = "open";
  #closing: Promise<void> | undefined;
  #isAborted = false;

  /**
   * Opens no connection yet.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  constructor(options: PoolOptions) {
    checkOptionNames("Cannot make the pool", options, POOL_NAMES);
    const resolved = resolvePoolOptions(options);
    this.#engine = new PoolEngine(resolved);
    this.#roster = new Roster(this.#engine);
    for (const backend of options.backends) this.#roster.check(backend);
    const { idleTimeoutMs, breaker, outliers, health, resolveIntervalMs } = resolved;
    const shortestMs = Math.min(
      idleTimeoutMs,
      breaker?.openMs ?? Infinity,
      outliers?.intervalMs ?? Infinity,
      health?.intervalMs ?? Infinity,
      resolveIntervalMs,
    );
    for (const backend of options.backends) this.#roster.add(backend);
    this.#sweeper.add(this.#upkeep, shortestMs);
    this.#roster.sweep(performance.now());
  }

  /** The state of the pool. */
  get status(): "open" | "closing" | "closed" {
    return this.#state;
  }

  /** Resolves when the pool is closed, and its connections are. Never rejects. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** What it has done so far. */
  stats(): PoolStats {
    const { dispatcher, counters } = this.#engine;
    return deepFreeze({
      kind: "pool",
      state: this.#state,
      takenAtMs: Date.now(),
      waiting: dispatcher.waiters.size,
      ...counters,
      backends: [...dispatcher.members].map((backend) => backend.stats()),
    });
  }

  /**
   * Leases an idle or a new connection, or waits until one is free. First come, first served.
   *
   * @throws {LimitError} `ERR_QUEUE_FULL` when more than `maxWaiting` wait
   * @throws {TimeoutError} `ERR_ACQUIRE_TIMEOUT` when it took longer than `timeoutMs`
   * @throws {AddressError} `ERR_NO_BACKEND` when no backend is up; `ERR_CONNECT_REFUSED` and others
   * when dialling failed
   * @throws {ClosedError} `ERR_CLOSED` when the pool is closed
   * @throws {TypeError | RangeError} when an option is wrong
   */
  acquire(options: AcquireOptions = {}): Promise<Lease> {
    checkWaitNames("Cannot acquire a connection", options);
    return this.#acquire(options, NONE);
  }

  #acquire(options: AcquireOptions, avoided: ReadonlySet<string>): Promise<Lease> {
    const { signal, timeoutMs = this.#engine.options.acquireTimeoutMs } = options;
    checkDurationMs("Cannot acquire a connection", "timeoutMs", timeoutMs);
    if (signal?.aborted) return rejected(signal.reason);
    if (this.#state !== "open") return rejected(closed());
    const { budget, counters, dispatcher, perform } = this.#engine;
    counters.acquires++;
    budget.request();
    const acquirer = new Acquirer();
    if (avoided.size > 0) {
      for (const backend of dispatcher.members) {
        if (avoided.has(backend.name)) acquirer.tried.add(backend);
      }
    }
    dispatcher.expectsMembers = this.#roster.isPending;
    if (!dispatcher.wait(acquirer)) {
      counters.queueFull++;
      return rejected(this.#queueFull());
    }
    perform();
    if (!acquirer.settled) this.#bound(acquirer, signal, timeoutMs);
    return acquirer.result.promise;
  }

  /**
   * Leases a connection, does the work on it, and releases it. The connection counts as failed when
   * the work throws an error that shows a failed backend (a `ClosedError`, a `TimeoutError`, bytes
   * that break the protocol). Then the work is done again on another connection, at most `retries`
   * times, and as the budget allows: set `retries` only if doing the work twice does no harm. When
   * the backend ends the connection without the answer, the work's `receive` rejects and never
   * returns `null`. Calls that the work leaves waiting on the connection reject when the work has
   * ended.
   *
   * @returns what the work returns
   * @throws what the work throws, and what {@linkcode acquire} throws
   */
  use<T>(work: Work<T>, options: UseOptions = {}): Promise<T> {
    const engine = this.#engine;
    const done = runWork((wait, avoided) => this.#acquire(wait, avoided), engine, work, options);
    return reportUnheard(done, (error) => engine.reporter.report(error, { phase: "use" }));
  }

  /**
   * Adds a backend.
   *
   * @throws {TypeError} when an option is wrong, or the name is taken
   * @throws {RangeError} when a number is out of range
   * @throws {ClosedError} `ERR_CLOSED` when the pool is closed
   */
  add(backend: Backend): void {
    if (this.#state !== "open") throw closed();
    this.#roster.add(backend);
    this.#roster.sweep(performance.now());
  }

  /**
   * Takes a backend out of work: it gets no new leases, idle connections are closed,
   * `lease.draining` aborts. Resolves when the last lease has ended and its connection is closed in
   * order. {@linkcode resume} reverses this.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when leases were still out in the end: it counts
   * those that were cut
   * @throws {TypeError} when there is no such backend
   */
  drain(name: string, options: PoolDrainOptions = {}): Promise<void> {
    const { timeoutMs = this.#engine.options.drainTimeoutMs } = options;
    checkOptionNames("Cannot drain the backend", options, DRAIN_NAMES);
    checkDurationMs("Cannot drain the backend", "timeoutMs", timeoutMs);
    return ignoreRejection(
      this.#drain(this.#roster.find(name), timeoutMs, `the backend "${name}"`),
    );
  }

  /**
   * Sends work to a drained backend again.
   *
   * @throws {TypeError} when there is no such backend, or it is not drained
   */
  resume(name: string): void {
    if (this.#state !== "open") throw closed();
    this.#roster.resume(name);
  }

  /**
   * Drains a backend and forgets it; its name is free at once.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when leases were still out in the end: it counts
   * those that were cut
   * @throws {TypeError} when there is no such backend
   */
  remove(name: string, options: PoolDrainOptions = {}): Promise<void> {
    const { timeoutMs = this.#engine.options.drainTimeoutMs } = options;
    checkOptionNames("Cannot remove the backend", options, DRAIN_NAMES);
    checkDurationMs("Cannot remove the backend", "timeoutMs", timeoutMs);
    const backends = this.#roster.release(name);
    const drained = this.#drain(backends, timeoutMs, `the backend "${name}"`);
    return ignoreRejection(drained.finally(() => this.#roster.forget(backends)));
  }

  /**
   * Closes in order: no caller gets a lease any more, waiting calls reject, current leases may end,
   * connections are closed. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when leases were still out in the end: it counts
   * those that were cut
   */
  close(options: CloseOptions = {}): Promise<void> {
    const { timeoutMs = this.#engine.options.drainTimeoutMs } = options;
    checkOptionNames("Cannot close the pool", options, DRAIN_NAMES);
    checkDurationMs("Cannot close the pool", "timeoutMs", timeoutMs);
    return this.#closing ??= ignoreRejection(this.#close(timeoutMs));
  }

  /** Closes now: leases are cut. */
  abort(reason: unknown = closed()): void {
    this.#isAborted = true;
    this.#closing ??= ignoreRejection(this.#close(1));
    for (const backend of this.#engine.dispatcher.members) cutLeases(backend, reason);
  }

  /** The same as {@linkcode close}; waits for {@linkcode closed} after an abort. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#isAborted ? this.closed : this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const { dispatcher, ending, perform } = this.#engine;
    this.#state = "closing";
    ending.abort(closed());
    dispatcher.failAll();
    perform();
    this.#sweeper.remove(this.#upkeep);
    const stopped = this.#roster.stop();
    try {
      await this.#drain([...dispatcher.members], timeoutMs, "the pool");
    } finally {
      await stopped;
      this.#state = "closed";
      this.#closed.resolve();
    }
  }

  async #drain(backends: readonly PoolBackend[], timeoutMs: number, what: string): Promise<void> {
    for (const backend of backends) this.#engine.drain(backend);
    const quiet = Promise.all(backends.map((backend) => backend.quiet.promise));
    if (await endsWithin(quiet, timeoutMs)) return;
    const leases = backends.reduce((sum, backend) => sum + backend.leases.size, 0);
    if (leases > 0) throw cutLate(backends, what, timeoutMs, leases);
    // All that is left are peers that do not close their side: each is cut within a second or so.
    await quiet;
  }

  /** Ends a wait when its signal aborts or its time is over. */
  #bound(acquirer: Acquirer, signal: AbortSignal | undefined, timeoutMs: number): void {
    const { counters, dispatcher } = this.#engine;
    const { result } = acquirer;
    counters.waits++;
    const stop = watchWait({ signal, timeoutMs }, {
      timeout: () =>
        new TimeoutError(
          "ERR_ACQUIRE_TIMEOUT",
          `Cannot acquire a connection within ${timeoutMs} ms`,
          {
            cause: acquirer.lastError ?? this.#engine.lastError,
          },
        ),
      cancel: (error) => {
        if (signal?.aborted) counters.waitsAborted++;
        else counters.waitTimeouts++;
        if (acquirer.settled) return;
        acquirer.settled = true;
        dispatcher.leave(acquirer);
        ignoreRejection(result.promise);
        result.reject(error);
      },
    });
    result.promise.then(stop, stop);
  }

  #queueFull(): LimitError {
    const { maxWaiting } = this.#engine.options;
    return new LimitError(
      "ERR_QUEUE_FULL",
      `Cannot acquire a connection: "maxWaiting" is ${maxWaiting}, and so many callers wait already`,
    );
  }
}

function closed(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot acquire a connection: the pool is closed");
}

function cutLeases(backend: PoolBackend, reason: unknown): void {
  for (const lease of [...backend.leases]) {
    lease.conn.abort(reason);
    lease.discard();
  }
}

function cutLate(
  backends: readonly PoolBackend[],
  what: string,
  timeoutMs: number,
  leases: number,
): TimeoutError {
  const error = new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot drain ${what} within ${timeoutMs} ms: ${leases} ${
      leases === 1 ? "lease was" : "leases were"
    } cut`,
    { cutConnections: leases },
  );
  for (const backend of backends) cutLeases(backend, error);
  return error;
}

function deepFreeze(stats: PoolStats): PoolStats {
  for (const backend of stats.backends) Object.freeze(backend);
  Object.freeze(stats.backends);
  return Object.freeze(stats);
}
