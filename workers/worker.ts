// What runs in a worker of serveWorkers(): a server that counts in memory of all threads.
import { TimeoutError } from "../errors.ts";
import type { Address } from "../net/transport/transport.ts";
import { levelOf } from "../server/reporter.ts";
import { resolveServeOptions, type ServeErrorContext } from "../server/options.ts";
import { Server } from "../server/server.ts";
import { ConnectionPlaces } from "./connection_places.ts";
import type { DrainReport } from "./messages.ts";
import { ACTION, SERVE_MODULE, type WorkerModuleOptions } from "./options.ts";
import { loadModule } from "./module.ts";
import { report, runInWorker, SILENT, type ThreadParts, tlsOf, type WorkerHost } from "./thread.ts";
import { SERVER_BOOKS, WorkerBooks } from "./worker_books.ts";
import type { WorkerLook } from "./workers_server.ts";

/**
 * Address of this module, for `new Worker`. The module itself says it, because packages for other
 * registries name their files otherwise, and because a compiled program has every module that is
 * imported.
 */
export const WORKER_URL: string = import.meta.url;

/** Serves in this thread. */
class ServeHost implements WorkerHost {
  readonly #server: Server;
  readonly #options: WorkerModuleOptions;

  private constructor(server: Server, options: WorkerModuleOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Loads the handler's module, and listens. */
  static async open({ order, credentials }: ThreadParts): Promise<ServeHost> {
    const { handler, options } = await loadModule(ACTION, order, SERVE_MODULE);
    const { onStop: _, ...hooks } = options;
    const resolved = resolveServeOptions({
      ...order.options,
      ...hooks,
      ...tlsOf(order),
      logger: SILENT,
      onError: reportError,
    });
    const places = new ConnectionPlaces(order.places.all, order.places.own);
    const books = new WorkerBooks(SERVER_BOOKS, order.books, places);
    const { listen } = resolved;
    const listenOptions = { ...listen.listenOptions, maxWaiting: order.maxWaiting };
    const plan = { ...resolved, listen: { ...listen, credentials, listenOptions } };
    const { refused } = books;
    const server = new Server(plan, handler, { books, refused, connections: places });
    await server.ready;
    return new ServeHost(server, options);
  }

  get addr(): Address {
    return this.#server.addr;
  }

  look(): WorkerLook {
    const { pendingNow, queuedBytes, connections } = this.#server.stats();
    return { pendingNow, queuedBytes, connections };
  }

  drain(timeoutMs: number): Promise<void> {
    return this.#server.shutdown({ timeoutMs, delayMs: 0 });
  }

  cutOf(error: unknown): Omit<DrainReport, "error"> {
    const { cutConnections, cutBytes } = error instanceof TimeoutError
      ? error
      : { cutConnections: 0, cutBytes: 0 };
    return { cutConnections, cutBytes };
  }

  async abort(reason: unknown): Promise<void> {
    this.#server.abort(reason);
    await this.#server.finished;
  }

  async stop(): Promise<void> {
    try {
      await this.#options.onStop?.();
    } catch (error) {
      reportError(error, { phase: "hook" });
    }
  }
}

function reportError(error: unknown, context: ServeErrorContext): void {
  const { phase, connection, remoteAddr = connection?.remoteAddr } = context;
  report(error, { phase, connection: connection?.id, remoteAddr }, levelOf(error, context));
}

void runInWorker("serve", (parts) => ServeHost.open(parts));
