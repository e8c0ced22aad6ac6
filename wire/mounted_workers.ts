// MountedWorkers: one server side of the wire whose sessions are spread over threads.
import { TimeoutError } from "../errors.ts";
import { newWireCounters, type WireCounters } from "../stats/data/counters.ts";
import {
  freezeDeep,
  type WireNameStats,
  type WireSessionStats,
  type WireStats,
} from "../stats/data/snapshots.ts";
import { decodeError } from "../workers/error_message.ts";
import type { GroupPlan } from "../workers/group_plan.ts";
import type { DrainReport } from "../workers/messages.ts";
import { SpreadServer } from "../workers/spread_server.ts";
import { WorkerGroup } from "../workers/worker_group.ts";
import { IdentityTable } from "./identity_table.ts";
import type { NamesToMain, NamesToWorker } from "./posted_names.ts";
import type { MountWorkersErrorContext } from "./workers_options.ts";

/** What is known of a worker beside its counters. */
export interface WireLook {
  readonly pendingNow: number;
  readonly sessions: readonly WireSessionStats[];
  readonly trafficByName: readonly WireNameStats[];
}

/**
 * A running wire of workers; `mountWorkers` makes it. Every method may be called at any moment, in
 * every state; calls of {@linkcode shutdown} share one drain.
 *
 * Its sessions live in the threads of the workers, so there is no `session()` and no `open()` here:
 * the module of a worker has them, for the sessions of its own thread.
 */
export class MountedWorkers extends SpreadServer {
  readonly #group: WorkerGroup<WireCounters, WireLook, MountWorkersErrorContext>;
  readonly #identities = new IdentityTable();
  readonly #createdAtMs = Date.now();

  /** @ignore use `mountWorkers` */
  constructor(plan: GroupPlan<MountWorkersErrorContext>) {
    const group = new WorkerGroup<WireCounters, WireLook, MountWorkersErrorContext>(plan, {
      zero: newWireCounters,
      onOwn: (body, worker) => this.#onNames(body as NamesToMain, worker),
      onEnd: (worker) => this.#identities.drop(worker),
      drainError,
    });
    super(group);
    this.#group = group;
  }

  /**
   * What all workers together have done, over all and by day. It keeps what a worker counted that
   * died, but for the bytes of its sessions since the last call.
   *
   * `sessions`, `pendingNow`, `trafficByName` and the bytes of sessions that are open are what the
   * workers said last: a call asks them for the next time. So a caller that asks every second sees
   * what is one second old.
   */
  stats(): WireStats {
    const { state, address, counted, looks, recentErrors, certificate } = this.#group.see();
    const { sum, peak: _, startedAtMs, ...rest } = counted;
    return freezeDeep({
      kind: "wire",
      role: "mount",
      state,
      address,
      ...rest,
      startedAtMs: startedAtMs ?? this.#createdAtMs,
      pendingNow: looks.reduce((all, { pendingNow }) => all + pendingNow, 0),
      refusedBy: { ...sum.refused },
      handshakes: sum.handshakes.stats(),
      recentErrors,
      sessions: looks.flatMap(({ sessions }) => sessions),
      calls: [],
      trafficByName: joinNames(looks.flatMap(({ trafficByName }) => trafficByName)),
      ...certificate,
    });
  }

  /** Decides over all workers who has which name. */
  #onNames(message: NamesToMain, worker: number): void {
    const { session } = message;
    if (message.kind === "release") return this.#identities.release(session);
    const claim = this.#identities.claim({ worker, session }, message.identity, message.proof);
    const granted = claim.kind === "granted";
    this.#tell(worker, { kind: "claimed", session, granted });
    if (!granted || claim.superseded === undefined) return;
    // Its own registry does that where the new session is.
    if (claim.superseded.worker === worker) return;
    this.#tell(claim.superseded.worker, {
      kind: "superseded",
      session: claim.superseded.session,
    });
  }

  #tell(worker: number, message: NamesToWorker): void {
    this.#group.post(worker, message);
  }
}

/** What a close had to cut, over all workers; `null` when that is nothing. */
function drainError(reports: readonly DrainReport[]): TimeoutError | null {
  const failed = reports.filter(({ error }) => error !== null);
  if (failed.length === 0) return null;
  const cutConnections = failed.reduce((sum, report) => sum + report.cutConnections, 0);
  return new TimeoutError(
    "ERR_DRAIN_TIMEOUT",
    `Cannot close ${failed.length} of ${reports.length} workers in order: sessions cut: ` +
      `${cutConnections}`,
    { cutConnections, cause: decodeError(failed[0]!.error!) },
  );
}

/** Adds up what several workers count by name. */
function joinNames(all: readonly WireNameStats[]): WireNameStats[] {
  const groups = Map.groupBy(all, ({ name }) => name);
  return Array.from(groups, ([name, list]) => ({
    name,
    streams: list.reduce((sum, { streams }) => sum + streams, 0),
    bytesIn: list.reduce((sum, { bytesIn }) => sum + bytesIn, 0),
    bytesOut: list.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
  }));
}
