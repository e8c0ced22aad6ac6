// Options of serveWorkers(), and of the module that each worker loads: what they are, and their check.
import {
  resolveServeOptions,
  type ServeErrorContext,
  type ServeOptions,
} from "../server/options.ts";
import { SERVE_NAMES } from "../server/option_names.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Address } from "../net/transport/transport.ts";
import type { Handler } from "../server/options.ts";
import {
  checkPassed,
  checkThreads,
  type GroupPlan,
  moduleAddress,
  passedOptions,
} from "./group_plan.ts";
import type { ModulePlan, WorkerStart } from "./module.ts";

/** Where in a server of workers an error came up. */
export interface WorkersErrorContext {
  /**
   * As for `serve`, and `"worker"`: the thread of a worker ended by itself, or could not be started
   * again. Its connections are lost, others are not; it is started again.
   */
  readonly phase: ServeErrorContext["phase"] | "worker";
  /** Number of the worker, from 1; absent for errors of the main thread. */
  readonly worker?: number | undefined;
  /** Id of the connection, where there is one. */
  readonly connection?: string | undefined;
  /** The far end, where there is one. */
  readonly remoteAddr?: Address | undefined;
  /** Connections that were lost with the thread of a worker. */
  readonly lostConnections?: number | undefined;
}

/**
 * Options of {@linkcode serveWorkers}: those of `serve`, but for what cannot be passed to a thread,
 * which the handler's module exports (see {@linkcode WorkerModuleOptions}).
 *
 * Limits hold for each worker by itself, except `maxConnections`, which counts the connections of
 * all. So a limit per source never refuses a source that has less than it says, and at most
 * `workers` times as much gets through.
 */
export interface ServeWorkersOptions extends
  Omit<
    ServeOptions,
    | "framing"
    | "data"
    | "onConnect"
    | "onTraffic"
    | "onDisconnect"
    | "onError"
    | "closedLog"
  > {
  /**
   * Threads that serve, 1 to 1024. More than one needs Linux, and a port.
   *
   * @default {`navigator.hardwareConcurrency`} one for each core
   */
  workers?: number | undefined;
  /**
   * Passed to the handler's module in each worker: plain data, of which each gets a copy.
   *
   * @default {undefined}
   */
  input?: unknown;
  /** An error came up that no caller can receive. @default {logs it} */
  onError?: ((error: unknown, context: WorkersErrorContext) => void) | undefined;
}

/** The export `options` of a handler's module, or what its function returns. All are optional. */
export interface WorkerModuleOptions<Data = unknown> extends
  Pick<
    ServeOptions<Data>,
    "framing" | "data" | "onConnect" | "onTraffic" | "onDisconnect"
  > {
  /**
   * The worker has served its last connection; its thread ends when this has returned. Not called
   * when the thread dies.
   */
  onStop?: (() => Promise<void> | void) | undefined;
}

/**
 * What a handler's module exports.
 *
 * @example
 * ```ts
 * import { type Connection, delimited, type WorkerModuleOptions } from "@parley/parley";
 *
 * export const options: WorkerModuleOptions = { framing: delimited("\n") };
 *
 * export default async function echo(conn: Connection): Promise<void> {
 *   for await (const message of conn) await conn.send(message);
 * }
 * ```
 */
export interface WorkerModule<Data = unknown> {
  /** Serves one connection, as the handler of `serve` does. */
  readonly default: Handler<Data>;
  /** Options, or a function that makes them, such as one that opens a database first. */
  readonly options?:
    | WorkerModuleOptions<Data>
    | ((start: WorkerStart) => WorkerModuleOptions<Data> | Promise<WorkerModuleOptions<Data>>)
    | undefined;
}

const MODULE_NAMES: OptionNames<WorkerModuleOptions> = {
  framing: true,
  data: true,
  onConnect: true,
  onTraffic: true,
  onDisconnect: true,
  onStop: true,
};

/** What the module of {@linkcode serveWorkers} exports. */
export const SERVE_MODULE: ModulePlan<WorkerModuleOptions> & { readonly handler?: Handler } = {
  what: "its handler",
  names: MODULE_NAMES,
};

const {
  framing: _1,
  data: _2,
  onConnect: _3,
  onTraffic: _4,
  onDisconnect: _5,
  closedLog: _6,
  ...REST
} = SERVE_NAMES;

const NAMES: OptionNames<ServeWorkersOptions> = { ...REST, workers: true, input: true };

export const ACTION = "Cannot serve in workers";

/**
 * Checks everything before a thread is started.
 *
 * @param threadUrl Address of the module that threads begin with
 * @throws {TypeError | RangeError} when an option is wrong, or the system cannot do it
 */
export function resolveWorkersOptions(
  module: URL | string,
  options: ServeWorkersOptions,
  threadUrl: string,
): GroupPlan<WorkersErrorContext> {
  checkPassed(ACTION, options, MODULE_NAMES);
  checkOptionNames(ACTION, options, NAMES);
  const { workers = navigator.hardwareConcurrency, input: _, onError, ...rest } = options;
  checkThreads(ACTION, { workers, path: options.path, onError });
  const server = resolveServeOptions(rest);
  const { maxWaiting = 1 } = server.listen.listenOptions;
  return {
    runs: "serve",
    threadUrl,
    module: moduleAddress(ACTION, module),
    given: options,
    workers,
    passed: passedOptions(ACTION, options),
    maxConnections: server.door.admission.maxConnections,
    maxWaiting,
    drainTimeoutMs: server.drainTimeoutMs,
    drainDelayMs: server.drainDelayMs,
    logger: server.logger,
    warning: server.warning,
  };
}
