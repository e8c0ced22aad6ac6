// WorkersServer: one server whose connections are spread over threads.
import { TimeoutError } from "../errors.ts";
import { newServerCounters, type ServerCounters } from "../stats/data/counters.ts";
import { type ConnectionStats, freezeDeep, type ServerStats } from "../stats/data/snapshots.ts";
import { decodeError } from "./error_message.ts";
import type { GroupPlan } from "./group_plan.ts";
import type { DrainReport } from "./messages.ts";
import type { WorkersErrorContext } from "./options.ts";
import { SpreadServer } from "./spread_server.ts";
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
export class WorkersServer extends SpreadServer {
  readonly #group: WorkerGroup<ServerCounters, WorkerLook, WorkersErrorContext>;

  /** @ignore use `serveWorkers` */
  constructor(plan: GroupPlan<WorkersErrorContext>) {
    const group = new WorkerGroup<ServerCounters, WorkerLook, WorkersErrorContext>(plan, {
      zero: newServerCounters,
      drainError,
    });
    super(group);
    this.#group = group;
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
