// WorkersServer: one server whose connections are spread over threads.
import type { ServerState } from "../accept/server_state.ts";
import { TimeoutError } from "../errors.ts";
import type { Address } from "../net/transport/transport.ts";
import type { ShutdownOptions } from "../server/server.ts";
import { newServerCounters, type ServerCounters } from "../stats/data/counters.ts";
import { type ConnectionStats, freezeDeep, type ServerStats } from "../stats/data/snapshots.ts";
import { decodeError } from "./error_message.ts";
import type { GroupPlan } from "./group_plan.ts";
import type { DrainReport } from "./messages.ts";
import type { WorkersErrorContext } from "./options.ts";
import { WorkerGroup } from "./worker_group.ts";

/** What is known of a worker beside its counters. */
export interface WorkerLook {
  readonly pendingNow: number;
  readonly queuedBytes: number;
  readonly connections: readonly ConnectionStats[];
}

/**
 * A running server of workers; `serveWorkers` makes it. Every method may be called at any moment, in
 * every state; calls of {@linkcode shutdown} share one drain.
 *
 * Its connections live in the threads of the workers, so there is no map of them here: `stats()`
 * lists what is known of each.
 */
export class WorkersServer implements AsyncDisposable {
  readonly #group: WorkerGroup<ServerCounters, WorkerLook, WorkersErrorContext>;

  /** @ignore use `serveWorkers` */
  constructor(plan: GroupPlan<WorkersErrorContext>) {
    this.#group = new WorkerGroup(plan, { zero: newServerCounters, drainError });
  }

  /** Resolves: a server of workers is made when it listens. */
  get ready(): Promise<void> {
    return Promise.resolve();
  }

  /** Resolves when the server is stopped, and all its threads have ended. Never rejects. */
  get finished(): Promise<void> {
    return this.#group.finished;
  }

  /** Where the server listens, with the real port. */
  get addr(): Address {
    return this.#group.addr;
  }

  /** The current state. */
  get state(): ServerState {
    return this.#group.state;
  }

  /** Threads that serve, or are about to be started again. */
  get workers(): number {
    return this.#group.workers;
  }

  /**
   * The current counters of all workers together, in total and by day. They keep what a worker
   * counted that died.
   *
   * `connections`, `pendingNow` and `queuedBytes` are what the workers said last: a call asks them
   * for the next time. So a caller that asks every second sees what is one second old.
   */
  stats(): ServerStats {
    const { state, address, counted, looks, recentErrors, certificate } = this.#group.see();
    const { sum, peak, ...rest } = counted;
    const { connectionsOpened, connectionsClosed } = rest.overall;
    return freezeDeep({
      kind: "server",
      state,
      address,
      ...rest,
      connectionsNow: connectionsOpened - connectionsClosed,
      pendingNow: looks.reduce((all, { pendingNow }) => all + pendingNow, 0),
      connectionsPeak: peak,
      queuedBytes: looks.reduce((all, { queuedBytes }) => all + queuedBytes, 0),
      refusedBy: { ...sum.refused },
      handshakes: sum.handshakes.stats(),
      requests: sum.requests.stats(),
      recentErrors,
      connections: looks.flatMap(({ connections }) => connections),
      ...certificate,
    });
  }

  /** Lets the process live while the server runs (the default). */
  ref(): void {
    this.#group.setReferenced(true);
  }

  /** Lets the process end although the server runs. */
  unref(): void {
    this.#group.setReferenced(false);
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
    return this.#group.shutdown(options);
  }

  /** Stops now: every connection is cut. `reason` becomes the cause of their errors. Idempotent. */
  abort(reason?: unknown): void {
    this.#group.abort(reason);
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /**
   * Starts the workers.
   *
   * @ignore use `serveWorkers`
   */
  start(): Promise<void> {
    return this.#group.start();
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
