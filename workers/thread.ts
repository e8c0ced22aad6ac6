// The thread of a worker, whatever runs in it: it does what the main thread orders.
import { getHeapStatistics } from "node:v8";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import process from "node:process";
import { callHook } from "../log/call_hook.ts";
import type { Logger } from "../log/logger.ts";
import type { Address } from "../net/transport/transport.ts";
import type {
  CredentialSource,
  ServerCredentials,
  ServerTlsOptions,
} from "../tls/handshake/options.ts";
import { decodeError, encodeError } from "./error_message.ts";
import {
  type DrainReport,
  type ErrorPlace,
  type LinePlan,
  type StartOrder,
  type ToMain,
  type ToWorker,
  WORKER_MARK,
} from "./messages.ts";

/** Whether this thread is a worker. */
const IS_WORKER: boolean = !isMainThread && workerData?.mark === WORKER_MARK;

/**
 * Refuses to start workers in a worker.
 *
 * @throws {TypeError} which says how a module is the main program and the handler
 */
export function checkMainThread(action: string, name: string): void {
  if (!IS_WORKER) return;
  throw new TypeError(
    `${action}: this thread is a worker already. A module that is the main program and the ` +
      `handler calls ${name}() only where import.meta.main is true; a bundle cannot be both`,
  );
}

/** What runs in the thread of a worker. */
export interface WorkerHost {
  /** Where it listens. */
  readonly addr: Address;
  /** What is known of it beside its counters: plain data. */
  look(): unknown;
  /** Lets connections end in order. @throws when that fails */
  drain(timeoutMs: number): Promise<void>;
  /** What of the error of a drain was cut. */
  cutOf(error: unknown): Omit<DrainReport, "error">;
  /** Cuts every connection; resolves when that is done. */
  abort(reason: unknown): Promise<void>;
  /** All is over. */
  stop(): Promise<void> | void;
}

/** What the host of a thread works with. */
export interface ThreadParts {
  readonly order: StartOrder;
  /** Certificates that the main thread loads and watches; `undefined` for plain connections. */
  readonly credentials: CredentialSource | undefined;
  /** Takes messages that are not for every worker, from now on. */
  readonly receive: (listener: (body: unknown) => void) => void;
}

/** Begins what runs in a thread; resolves when it listens. */
export type OpenHost = (parts: ThreadParts) => Promise<WorkerHost>;

/** What a worker says is said by the main thread. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

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

export function post(message: ToMain): void {
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
export function die(error: unknown): void {
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

/**
 * Logs by the main thread. All workers warn of the same, so the first one does it for all; what
 * else they log are their own events.
 */
export function lineLogger(worker: number): Logger {
  const write = (level: keyof Logger) => (message: string, fields: Record<string, unknown> = {}) =>
    post({ kind: "line", line: { level, message }, fields: plainFields(fields) });
  return {
    debug() {},
    info: write("info"),
    warn: worker === 1 ? write("warn") : () => {},
    error() {},
  };
}

/** Fields of a line, as plain data. */
function plainFields(fields: Record<string, unknown>): Record<string, unknown> {
  const plain = (value: unknown) => value instanceof Error ? String(value) : value;
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
}

/** TLS of the options of a host; `credentials` hold what it shows. */
export function tlsOf({ tls, credentials }: StartOrder): { readonly tls?: ServerTlsOptions } {
  if (tls === undefined) return {};
  return { tls: { ...tls, cert: credentials!.cert, key: credentials!.key } };
}

/** Reports an error to the main thread. */
export function report(error: unknown, place: ErrorPlace, line: LinePlan): void {
  post({ kind: "error", error: encodeError(error), place, line });
}

/** Does what the main thread orders. It orders nothing before the host listens. */
function obey(order: ToWorker, host: WorkerHost, credentials: PostedCredentials | undefined): void {
  switch (order.kind) {
    case "look":
      return post({ kind: "looked", look: host.look() });
    case "credentials":
      return credentials?.replace(order.credentials);
    case "drain":
      return void drain(host, order.timeoutMs);
    case "abort":
      return void abort(host, order.reason === null ? undefined : decodeError(order.reason));
  }
}

async function drain(host: WorkerHost, timeoutMs: number): Promise<void> {
  let failure: unknown = null;
  try {
    await host.drain(timeoutMs);
  } catch (error) {
    failure = error;
  }
  await host.stop();
  const error = failure === null ? null : encodeError(failure);
  post({ kind: "drained", report: { error, ...host.cutOf(failure) } });
}

async function abort(host: WorkerHost, reason: unknown): Promise<void> {
  await host.abort(reason);
  await host.stop();
  post({ kind: "aborted" });
}

/** Runs a host in this thread, if it was started for that. Never rejects. */
export async function runInWorker(runs: StartOrder["runs"], open: OpenHost): Promise<void> {
  if (!IS_WORKER || (workerData as StartOrder).runs !== runs) return;
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  watchMemory();
  try {
    const order = workerData as StartOrder;
    const credentials = order.credentials && new PostedCredentials(order.credentials);
    const listeners: ((body: unknown) => void)[] = [];
    let host: WorkerHost | null = null;
    parentPort!.on("message", (message: ToWorker) => {
      if (message.kind === "own") { for (const listener of listeners) listener(message.body); }
      else if (host !== null) obey(message, host, credentials);
    });
    host = await open({ order, credentials, receive: (listener) => listeners.push(listener) });
    post({ kind: "listening", addr: host.addr });
  } catch (error) {
    endWith("failed", error);
  }
}
