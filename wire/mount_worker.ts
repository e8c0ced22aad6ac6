// What runs in a worker of mountWorkers(): a mounted wire that counts in memory of all threads.
import { ClosedError } from "../errors.ts";
import type { Address } from "../net/transport/transport.ts";
import { newWireCounters, type WireCounters } from "../stats/data/counters.ts";
import { ConnectionPlaces } from "../workers/connection_places.ts";
import type { DrainReport } from "../workers/messages.ts";
import { loadModule } from "../workers/module.ts";
import {
  die,
  lineLogger,
  post,
  report,
  runInWorker,
  type ThreadParts,
  tlsOf,
  type WorkerHost,
} from "../workers/thread.ts";
import { WorkerBooks } from "../workers/worker_books.ts";
import { MountedWire } from "./mount.ts";
import type { WireLook } from "./mounted_workers.ts";
import { lineOf, type WireErrorContext } from "./observe/reporter.ts";
import type { MountOptions } from "./options.ts";
import { type MountPlan, resolveMount } from "./plan.ts";
import { type NamesToWorker, PostedNames } from "./posted_names.ts";
import { MOUNT_ACTION, MOUNT_MODULE, type MountModuleOptions } from "./workers_options.ts";

/** Address of this module, for `new Worker`: see `WORKER_URL` of `serveWorkers`. */
export const MOUNT_WORKER_URL: string = import.meta.url;

const COUNTERS = Object.keys(newWireCounters()) as (keyof WireCounters)[];

/** Serves the wire in this thread. */
class MountThread implements WorkerHost {
  readonly #wire: MountedWire;
  readonly #options: MountModuleOptions;
  #isEnding = false;

  private constructor(wire: MountedWire, options: MountModuleOptions) {
    this.#wire = wire;
    this.#options = options;
    void wire.finished.then(() => {
      if (!this.#isEnding) die(new ClosedError("ERR_CLOSED", "The module closed its wire"));
    });
  }

  /** Loads the module, registers its handlers, and listens. */
  static async open(parts: ThreadParts): Promise<MountThread> {
    const { order } = parts;
    const { handler, options } = await loadModule(MOUNT_ACTION, order, MOUNT_MODULE);
    const { onStop: _, ...hooks } = options;
    const { input, worker, places } = order;
    const connections = new ConnectionPlaces(places.all, places.own);
    const books = new WorkerBooks<WireCounters>(COUNTERS, order.books, connections);
    const wire = new MountedWire(planFor(parts, hooks), null, {
      books,
      connections,
      refused: books.refused,
      names: (registry) => {
        const names = new PostedNames(registry, (body) => post({ kind: "own", body }));
        parts.receive((body) => names.receive(body as NamesToWorker));
        return names;
      },
    });
    try {
      await handler(wire, { input, worker });
      await wire.ready;
    } catch (error) {
      wire.abort();
      throw error;
    }
    return new MountThread(wire, options);
  }

  get addr(): Address {
    return this.#wire.addr;
  }

  look(): WireLook {
    const { pendingNow, sessions, trafficByName } = this.#wire.stats();
    return { pendingNow, sessions, trafficByName };
  }

  async drain(timeoutMs: number): Promise<void> {
    this.#isEnding = true;
    await this.#wire.shutdown({ timeoutMs });
  }

  cutOf(error: unknown): Omit<DrainReport, "error"> {
    return {
      cutConnections: error instanceof AggregateError ? error.errors.length : 0,
      cutBytes: 0,
    };
  }

  async abort(reason: unknown): Promise<void> {
    this.#isEnding = true;
    this.#wire.abort(reason);
    await this.#wire.finished;
  }

  async stop(): Promise<void> {
    // Bytes of the sessions go into the memory that outlives this thread.
    this.#wire.stats();
    try {
      await this.#options.onStop?.();
    } catch (error) {
      reportError(error, { phase: "hook" });
    }
  }
}

/** Where and how this worker listens, and who may join. */
function planFor(
  { order, credentials }: ThreadParts,
  hooks: Omit<MountModuleOptions, "onStop">,
): MountPlan {
  const { reusePort, canReset, ...options } = order.options as
    & MountOptions
    & { readonly reusePort?: boolean; readonly canReset?: boolean };
  const logger = lineLogger(order.worker);
  const given = { ...options, ...hooks, ...tlsOf(order), logger, onError: reportError };
  const plan = resolveMount(given);
  const { listen } = plan;
  const { where, listenOptions } = listen.plan;
  return {
    ...plan,
    listen: {
      ...listen,
      plan: {
        ...listen.plan,
        where: "path" in where ? where : { ...where, reusePort },
        credentials,
        listenOptions: { ...listenOptions, canReset, maxWaiting: order.maxWaiting },
      },
    },
  };
}

function reportError(error: unknown, { phase, session, remoteAddr }: WireErrorContext): void {
  const { id, identity, remoteAddr: peer } = session ?? {};
  const place = { phase, session: id, identity, remoteAddr: remoteAddr ?? peer };
  report(error, place, lineOf(error, phase));
}

void runInWorker("mount", (parts) => MountThread.open(parts));
