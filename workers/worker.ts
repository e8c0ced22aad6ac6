// The thread of a worker: loads the handler's module, and serves as the main thread orders.
import { getHeapStatistics } from "node:v8";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import process from "node:process";
import { callHook } from "../log/call_hook.ts";
import { TimeoutError } from "../errors.ts";
import type { Logger } from "../log/logger.ts";
import { levelOf } from "../server/reporter.ts";
import {
  type ResolvedServeOptions,
  resolveServeOptions,
  type ServeErrorContext,
} from "../server/options.ts";
import { Server } from "../server/server.ts";
import type { CredentialSource, ServerCredentials } from "../tls/handshake/options.ts";
import { ConnectionPlaces } from "./connection_places.ts";
import { decodeError, encodeError } from "./error_message.ts";
import { type StartOrder, type ToMain, type ToWorker, WORKER_MARK } from "./messages.ts";
import { ACTION, readModule, type WorkerModuleOptions } from "./options.ts";
import { WorkerBooks } from "./worker_books.ts";

/**
 * Address of this module, for `new Worker`. The module itself says it, because packages for other
 * registries name their files otherwise, and because a compiled program has every module that is
 * imported.
 */
export const WORKER_URL: string = import.meta.url;

/** Whether this thread is a worker of {@linkcode serveWorkers}. */
export const IS_WORKER: boolean = !isMainThread && workerData?.mark === WORKER_MARK;

/** What a worker says is said by the main thread. */
const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Certificates that the main thread loads and watches. */
class PostedCredentials implements CredentialSource {
  readonly #listeners = new Set<(next: ServerCredentials) => void>();
  current: ServerCredentials;

  constructor(first: ServerCredentials) {
    this.current = first;
  }

  subscribe(listener: (next: ServerCredentials) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  replace(next: ServerCredentials): void {
    this.current = next;
    for (const listener of this.#listeners) callHook(() => listener(next), die);
  }

  close(): void {
    this.#listeners.clear();
  }
}

function post(message: ToMain): void {
  parentPort!.postMessage(message);
}

/** Time in ms for the main thread to hear why this one ends. */
const LAST_WORDS_MS = 5000;

/**
 * Ends this thread, and says why. It waits until the main thread has heard that: the end of a thread
 * may overtake its messages. Nothing else runs in this thread meanwhile.
 */
function endWith(kind: "dying" | "failed", error: unknown): void {
  post({ kind, error: encodeError(error) });
  Atomics.wait(new Int32Array((workerData as StartOrder).heard), 0, 0, LAST_WORDS_MS);
  process.exit(1);
}

/** Ends this thread by an error that no code handles. */
function die(error: unknown): void {
  endWith("dying", error);
}

/** Time between two looks at the memory, in ms. */
const MEMORY_LOOK_MS = 500;

/**
 * Ends this thread soon after its heap was full. The platform then ends the function that runs, and
 * with it whatever else was about to run in that turn, such as the reader of another connection:
 * what is left would hold its connections and serve some of them never again. It raises the limit
 * for that, which is how it is seen.
 */
function watchMemory(): void {
  const limit = getHeapStatistics().heap_size_limit;
  setInterval(() => {
    if (getHeapStatistics().heap_size_limit <= limit) return;
    const megabytes = Math.round(limit / 2 ** 20);
    die(new RangeError(`The thread ran out of memory: its heap may have ${megabytes} MB`));
  }, MEMORY_LOOK_MS);
}

/** Serves in this thread. */
class WorkerServer {
  readonly #server: Server;
  readonly #credentials: PostedCredentials | undefined;
  readonly #options: WorkerModuleOptions;

  private constructor(
    server: Server,
    credentials: PostedCredentials | undefined,
    options: WorkerModuleOptions,
  ) {
    this.#server = server;
    this.#credentials = credentials;
    this.#options = options;
  }

  /** Loads the handler's module, and listens. */
  static async open(order: StartOrder): Promise<WorkerServer> {
    const { module, input, worker } = order;
    const exports = await load(module);
    const { handler, options } = await readModule(exports, module, { input, worker });
    const { onStop: _, ...hooks } = options;
    const credentials = order.credentials && new PostedCredentials(order.credentials);
    const resolved = resolveServeOptions({
      ...order.options,
      ...hooks,
      ...order.tls !== undefined && {
        tls: { ...order.tls, cert: order.credentials!.cert, key: order.credentials!.key },
      },
      logger: SILENT,
      onError: reportError,
    });
    const places = new ConnectionPlaces(order.places.all, order.places.own);
    const books = new WorkerBooks(order.books, places);
    const server = new Server(planFor(resolved, order, credentials), handler, {
      books,
      refused: books.refused,
      connections: places,
    });
    await server.ready;
    post({ kind: "listening", addr: server.addr });
    return new WorkerServer(server, credentials, options);
  }

  /** Does what the main thread orders. */
  obey(order: ToWorker): void {
    switch (order.kind) {
      case "look": {
        const { pendingNow, queuedBytes, connections } = this.#server.stats();
        return post({ kind: "looked", look: { pendingNow, queuedBytes, connections } });
      }
      case "credentials":
        return this.#credentials?.replace(order.credentials);
      case "drain":
        return void this.#drain(order.timeoutMs);
      case "abort":
        return void this.#abort(order.reason === null ? undefined : decodeError(order.reason));
    }
  }

  async #drain(timeoutMs: number): Promise<void> {
    let failure: unknown = null;
    try {
      await this.#server.shutdown({ timeoutMs, delayMs: 0 });
    } catch (error) {
      failure = error;
    }
    await this.#stop();
    const { cutConnections, cutBytes } = failure instanceof TimeoutError
      ? failure
      : { cutConnections: 0, cutBytes: 0 };
    const error = failure === null ? null : encodeError(failure);
    post({ kind: "drained", report: { error, cutConnections, cutBytes } });
  }

  async #abort(reason: unknown): Promise<void> {
    this.#server.abort(reason);
    await this.#server.finished;
    await this.#stop();
    post({ kind: "aborted" });
  }

  async #stop(): Promise<void> {
    try {
      await this.#options.onStop?.();
    } catch (error) {
      reportError(error, { phase: "hook" });
    }
  }
}

/** Where and how this worker listens. */
function planFor(
  resolved: ResolvedServeOptions<unknown>,
  { maxWaiting }: StartOrder,
  credentials: CredentialSource | undefined,
): ResolvedServeOptions<unknown> {
  const { listen } = resolved;
  return {
    ...resolved,
    listen: { ...listen, credentials, listenOptions: { ...listen.listenOptions, maxWaiting } },
  };
}

async function load(address: string): Promise<Record<string, never>> {
  try {
    return await import(address);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`${ACTION}: cannot load "${address}": ${why}`, { cause });
  }
}

function reportError(error: unknown, context: ServeErrorContext): void {
  const { phase, connection, remoteAddr = connection?.remoteAddr } = context;
  post({
    kind: "error",
    error: encodeError(error),
    place: { phase, connection: connection?.id, remoteAddr },
    line: levelOf(error, context),
  });
}

async function run(order: StartOrder): Promise<void> {
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  watchMemory();
  try {
    const server = await WorkerServer.open(order);
    parentPort!.on("message", (message: ToWorker) => server.obey(message));
  } catch (error) {
    endWith("failed", error);
  }
}

if (IS_WORKER) void run(workerData);
