// Options of mountWorkers(), and of the module that each worker loads: what they are, and their check.
import { consoleLogger } from "../log/logger.ts";
import type { Address } from "../net/transport/transport.ts";
import { checkDurationMs } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import {
  checkPassed,
  checkThreads,
  type GroupPlan,
  moduleAddress,
  passedOptions,
} from "../workers/group_plan.ts";
import type { ModulePlan, WorkerStart } from "../workers/module.ts";
import type { MountedWire } from "./mount.ts";
import { CLOSE_MS } from "./mount_end.ts";
import type { WireErrorContext } from "./observe/reporter.ts";
import { MOUNT_NAMES, type MountOptions } from "./options.ts";
import { resolveMount } from "./plan.ts";

export const MOUNT_ACTION = "Cannot mount in workers";

/** Where in a wire of workers an error came up. */
export interface MountWorkersErrorContext {
  /**
   * As for `mount`, and `"worker"`: the thread of a worker ended by itself, or could not be started
   * again. Its sessions are lost, others are not; it is started again.
   */
  readonly phase: WireErrorContext["phase"] | "worker";
  /** Number of the worker, from 1; absent for errors of the main thread. */
  readonly worker?: number | undefined;
  /** Id of the session, where there is one. */
  readonly session?: string | undefined;
  /** Who joined, where there is a session. */
  readonly identity?: string | undefined;
  /** Where the peer is, where there is one. */
  readonly remoteAddr?: Address | undefined;
  /** Sessions that were lost with the thread of a worker. */
  readonly lostConnections?: number | undefined;
}

/**
 * Options of {@linkcode mountWorkers}: those of `mount`, but for what cannot be passed to a thread,
 * which the module exports (see {@linkcode MountModuleOptions}).
 *
 * Limits hold for each worker by itself, except `maxConnections`, which counts the connections of
 * all. So a limit per source never refuses a source that has less than it says, and at most
 * `workers` times as much gets through.
 */
export interface MountWorkersOptions extends
  Omit<
    MountOptions,
    "handlers" | "authorize" | "onOpen" | "onClose" | "onOffers" | "onError"
  > {
  /**
   * Threads that serve, 1 to 1024. More than one needs Linux, and a port.
   *
   * @default {`navigator.hardwareConcurrency`} one for each core
   */
  workers?: number | undefined;
  /**
   * Passed to the module in each worker: plain data, of which each gets a copy.
   *
   * @default {undefined}
   */
  input?: unknown;
  /**
   * Time in ms for sessions to end in order, then the rest is cut; 0 for no limit.
   *
   * @default {10000} as for `mount`
   */
  drainTimeoutMs?: number | undefined;
  /** Takes errors that have no caller. @default {the logger} */
  onError?: ((error: unknown, context: MountWorkersErrorContext) => void) | undefined;
}

/** The export `options` of a worker's module, or what its function returns. All are optional. */
export interface MountModuleOptions
  extends Pick<MountOptions, "handlers" | "authorize" | "onOpen" | "onClose" | "onOffers"> {
  /**
   * The worker has served its last session; its thread ends when this has returned. Not called when
   * the thread dies.
   */
  onStop?: (() => Promise<void> | void) | undefined;
}

/**
 * What the module of {@linkcode mountWorkers} exports.
 *
 * @example
 * ```ts
 * import { type MountedWire, type MountModuleOptions, sameToken } from "@parley/parley/wire";
 *
 * export const options: MountModuleOptions = {
 *   authorize: ({ token }) => sameToken(token, "our secret"),
 * };
 *
 * export default function serve(wire: MountedWire): void {
 *   wire.handle("echo", async (stream) => await stream.readable.pipeTo(stream.writable));
 * }
 * ```
 */
export interface MountModule {
  /**
   * Registers the handlers of a worker's wire. What it registers before it first waits is there
   * before a peer can join.
   */
  readonly default: (wire: MountedWire, start: WorkerStart) => Promise<void> | void;
  /** Options, or a function that makes them, such as one that opens a database first. */
  readonly options?:
    | MountModuleOptions
    | ((start: WorkerStart) => MountModuleOptions | Promise<MountModuleOptions>)
    | undefined;
}

/** What the module of {@linkcode mountWorkers} has to export. */
export const MOUNT_MODULE: ModulePlan<MountModuleOptions> & {
  readonly handler?: MountModule["default"];
} = {
  what: "the function that registers its handlers",
  names: {
    handlers: true,
    authorize: true,
    onOpen: true,
    onClose: true,
    onOffers: true,
    onStop: true,
  },
};

const { handlers: _1, authorize: _2, onOpen: _3, onClose: _4, onOffers: _5, ...REST } = MOUNT_NAMES;

const NAMES: OptionNames<MountWorkersOptions> = {
  ...REST,
  workers: true,
  input: true,
  drainTimeoutMs: true,
};

/** Options that need all sessions in one thread. */
const HUB_ONLY = ["presence", "maxStreamsPerPair"];

/**
 * Checks everything before a thread is started.
 *
 * @param threadUrl Address of the module that threads begin with
 * @throws {TypeError | RangeError} when an option is wrong, or the system cannot do it
 */
export function resolveMountWorkers(
  module: URL | string,
  options: MountWorkersOptions,
  threadUrl: string,
): GroupPlan<MountWorkersErrorContext> {
  checkPassed(MOUNT_ACTION, options, MOUNT_MODULE.names);
  for (const name of HUB_ONLY) {
    if (!Object.hasOwn(options, name)) continue;
    throw new TypeError(
      `${MOUNT_ACTION}: "${name}" is an option of a hub, whose clients reach each other: it needs ` +
        `all sessions in one thread. Call hub() there`,
    );
  }
  checkOptionNames(MOUNT_ACTION, options, NAMES);
  const { workers = navigator.hardwareConcurrency, input: _, onError, ...rest } = options;
  const { drainTimeoutMs = CLOSE_MS, drainDelayMs = 0, ...mount } = rest;
  checkDurationMs(MOUNT_ACTION, "drainTimeoutMs", drainTimeoutMs, { allowOff: true });
  checkThreads(MOUNT_ACTION, { workers, path: options.path, onError });
  // Who may join is what the module says: the thread checks that.
  const authorize = mount.insecureAnyone === true ? {} : { authorize: () => false };
  const { listen } = resolveMount({ ...mount, drainDelayMs, ...authorize });
  const { maxWaiting = 1 } = listen.plan.listenOptions;
  return {
    runs: "mount",
    threadUrl,
    module: moduleAddress(MOUNT_ACTION, module),
    given: options,
    workers,
    passed: passedOptions(MOUNT_ACTION, options),
    maxConnections: listen.maxConnections,
    maxWaiting,
    drainTimeoutMs,
    drainDelayMs,
    logger: options.logger ?? consoleLogger,
    warning: listen.warning,
  };
}
