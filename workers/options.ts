// Options of serveWorkers(), and of the module that each worker loads: what they are, and their check.
import {
  resolveServeOptions,
  type ServeErrorContext,
  type ServeOptions,
} from "../server/options.ts";
import { SERVE_NAMES } from "../server/option_names.ts";
import type { ResolvedServeOptions } from "../server/options.ts";
import { checkFunction, checkInteger } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Address } from "../net/transport/transport.ts";
import type { Handler } from "../server/options.ts";

/** Most workers: more threads than any machine of today has cores. */
const MAX_WORKERS = 1024;

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

/** What the handler's module learns of the worker that loads it. */
export interface WorkerStart {
  /** The option `input` of {@linkcode serveWorkers}: a copy. */
  readonly input: unknown;
  /** Number of the worker, from 1. */
  readonly worker: number;
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

/** Options that concern the main thread alone, or that it passes on in another form. */
const MAIN_ONLY: ReadonlySet<string> = new Set(
  [
    "hostname",
    "port",
    "path",
    "mode",
    "reusePort",
    "tls",
    "signal",
    "logger",
    "onError",
    "onListen",
    "onStateChange",
    "drainDelayMs",
    "drainTimeoutMs",
    "workers",
    "input",
  ] satisfies (keyof ServeWorkersOptions)[],
);

export const ACTION = "Cannot serve in workers";

/** {@linkcode ServeWorkersOptions}, checked. */
export interface ResolvedWorkersOptions {
  /** Address of the handler's module. */
  readonly module: string;
  readonly given: ServeWorkersOptions;
  readonly workers: number;
  /** As for a server in this thread. */
  readonly server: ResolvedServeOptions<unknown>;
  /** Options that each worker gets. */
  readonly passed: Readonly<Record<string, unknown>>;
}

/**
 * Checks everything before a thread is started.
 *
 * @throws {TypeError | RangeError} when an option is wrong, or the system cannot do it
 */
export function resolveWorkersOptions(
  module: URL | string,
  options: ServeWorkersOptions,
): ResolvedWorkersOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${ACTION}: "options" must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(MODULE_NAMES, name)) continue;
    throw new TypeError(
      `${ACTION}: "${name}" cannot be passed to a thread: export it from the handler's module, ` +
        `as \`export const options = { ${name}: … }\``,
    );
  }
  checkOptionNames(ACTION, options, NAMES);
  const { workers = navigator.hardwareConcurrency, input: _, onError, ...rest } = options;
  checkInteger(ACTION, "workers", workers, 1, MAX_WORKERS);
  if (onError !== undefined) checkFunction(ACTION, "onError", onError);
  checkSharing(Deno.build.os, workers, options.path);
  const server = resolveServeOptions(rest);
  return {
    module: moduleAddress(module),
    given: options,
    workers,
    server,
    passed: Object.fromEntries(Object.entries(options).filter(([name]) => !MAIN_ONLY.has(name))),
  };
}

/**
 * Refuses several workers where they cannot share an address.
 *
 * @throws {TypeError} which says what to do
 */
export function checkSharing(os: string, workers: number, path: string | undefined): void {
  if (workers === 1) return;
  if (path !== undefined) {
    throw new TypeError(
      `${ACTION}: ${workers} workers cannot share the unix socket of "path": ` +
        `it has one listener. Listen on a port, or set "workers" to 1`,
    );
  }
  if (os === "linux") return;
  throw new TypeError(
    `${ACTION}: ${workers} workers cannot share a port on this system (${os}): ` +
      `only Linux spreads its connections over them. Set "workers" to 1`,
  );
}

function moduleAddress(module: URL | string): string {
  if (module instanceof URL) return module.href;
  if (typeof module === "string" && URL.canParse(module)) return module;
  throw new TypeError(
    `${ACTION}: "module" must be a URL such as new URL("./handler.ts", import.meta.url), got ${
      typeof module === "string" ? JSON.stringify(module) : typeof module
    }`,
  );
}

/**
 * Checks what a handler's module exports.
 *
 * @throws {TypeError} when that is no handler, or an option is wrong
 */
export async function readModule(
  exports: Partial<WorkerModule>,
  address: string,
  start: WorkerStart,
): Promise<{ readonly handler: Handler; readonly options: WorkerModuleOptions }> {
  const { default: handler, options = {} } = exports;
  if (typeof handler !== "function") {
    throw new TypeError(
      `${ACTION}: "${address}" must export its handler as default, got ${typeof handler}`,
    );
  }
  const given = typeof options === "function" ? await options(start) : options;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `${ACTION}: "options" of "${address}" must be an object or a function that returns one, got ${
        given === null ? "null" : typeof given
      }`,
    );
  }
  checkOptionNames(`${ACTION}: "options" of "${address}"`, given, MODULE_NAMES);
  if (given.onStop !== undefined) checkFunction(ACTION, "onStop", given.onStop);
  return { handler, options: given };
}
