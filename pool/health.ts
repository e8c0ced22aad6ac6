// HealthCheck: asks one backend now and then how it is, on a connection of its own.
import { establish } from "../client/connect.ts";
import type { Connection } from "../connection.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Resolved } from "../options/resolved.ts";
import type { PoolBackend } from "./backend.ts";
import { isStaleEnd } from "./lease_errors.ts";
import { type AnswerRule, LeasedConnection } from "./leased_connection.ts";
import type { HealthOptions, PoolOptions } from "./options.ts";
import { withDeadline } from "../async/deadline.ts";

/** What a {@linkcode HealthCheck} needs of its pool. */
export interface HealthContext {
  readonly options: Readonly<Resolved<HealthOptions>>;
  readonly given: PoolOptions;
  readonly answers: AnswerRule;
  /** Called when the backend's health was looked at. */
  readonly onResult: () => void;
  /** Called with the reason when the backend becomes unwell. */
  readonly onUnwell: (error: unknown) => void;
}

/** Checks one backend; a sweep of the pool drives it. */
export class HealthCheck {
  readonly #backend: PoolBackend;
  readonly #context: HealthContext;
  /** The connection that the next check uses; `null` while there is none. */
  #conn: Connection | null = null;
  /** Connections that are being closed. */
  readonly #retired = new Set<Promise<void>>();
  #running: AbortController | null = null;
  #stopped = false;
  #nextAtMs = 0;
  #failures = 0;
  #ended: Promise<void> = Promise.resolve();

  constructor(backend: PoolBackend, context: HealthContext) {
    this.#backend = backend;
    this.#context = context;
  }

  /** Checks if it is time to. */
  sweep(nowMs: number): void {
    const due = nowMs >= this.#nextAtMs || this.#backend.breaker?.isDue === true;
    if (!due || this.#running !== null || this.#stopped) return;
    this.#nextAtMs = nowMs + this.#context.options.intervalMs;
    this.#ended = this.#run();
  }

  /** Ends it; resolves when its connection is closed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#running?.abort(new ClosedError("ERR_CLOSED", "The health checks have ended"));
    await this.#ended;
    if (this.#conn !== null) this.#retire(this.#conn);
    await Promise.all(this.#retired);
  }

  /** Runs one check. Never rejects. */
  async #run(): Promise<void> {
    const { timeoutMs } = this.#context.options;
    const { signal } = this.#running = new AbortController();
    const late = () =>
      new TimeoutError("ERR_READ_TIMEOUT", `No answer came within ${timeoutMs} ms`);
    const trial = this.#backend.begin();
    let failure: unknown = null;
    try {
      const result = await withDeadline(
        { signal, timeoutMs, late },
        (signal) => this.#check(signal),
      );
      if (result === false) failure = new Error("The health check returned false");
    } catch (error) {
      failure = error ?? new Error("The health check threw nothing");
    } finally {
      this.#running = null;
    }
    if (failure !== null) this.#drop();
    if (!this.#stopped) this.#note(failure);
    trial?.(failure === null);
    this.#context.onResult();
  }

  /**
   * Checks; a connection that had ended before the check began says nothing of the backend, and is
   * replaced.
   */
  async #check(signal: AbortSignal): Promise<unknown> {
    try {
      return await this.#checkOnce(signal);
    } catch (error) {
      if (!isStaleEnd(error)) throw error;
      return await this.#checkOnce(signal);
    }
  }

  async #checkOnce(signal: AbortSignal): Promise<unknown> {
    const { answers, given, options } = this.#context;
    signal.throwIfAborted();
    const isReused = this.#conn !== null;
    const conn = this.#conn ?? await this.#open(signal);
    const terms = { backend: this.#backend.name, isReused, answers, given, onFirstMessage: null };
    const lent = new LeasedConnection(conn, terms);
    let answered = false;
    try {
      const result = await options.check(lent.asConnection(), { signal });
      answered = result !== false;
      return result;
    } finally {
      const stats = conn.stats();
      const isWhole = answered && lent.isWhole && stats.heldBytes === 0 && stats.queuedBytes === 0;
      lent.revoke(stats, isWhole);
      if (!isWhole) this.#retire(conn);
    }
  }

  /**
   * Opens the connection for this check and those that follow. A check that was given up meanwhile
   * leaves none behind.
   */
  async #open(signal: AbortSignal): Promise<Connection> {
    const { target } = this.#backend;
    const conn = await establish<unknown>(target, {}, signal);
    if (signal.aborted) {
      conn.abort(signal.reason);
      throw signal.reason;
    }
    this.#conn = conn;
    void conn.inputEnded.then(() => this.#retire(conn));
    return conn;
  }

  /** No check uses this connection any more. */
  #retire(conn: Connection): void {
    if (this.#conn === conn) this.#conn = null;
    const closed = conn.close().catch(() => {}).finally(() => this.#retired.delete(closed));
    this.#retired.add(closed);
  }

  /** A check failed: its answer may still be under way. */
  #drop(): void {
    this.#conn?.abort();
    this.#conn = null;
  }

  #note(failure: unknown): void {
    const { counters } = this.#backend;
    const wasHealthy = this.#backend.healthy;
    counters.healthChecks++;
    if (failure !== null) counters.healthFailures++;
    this.#failures = failure === null ? 0 : this.#failures + 1;
    this.#backend.healthy = this.#failures < this.#context.options.failures;
    if (wasHealthy && !this.#backend.healthy) this.#context.onUnwell(failure);
  }
}
