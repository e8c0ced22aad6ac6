// GroupPlan: what a server of workers is made of, whatever its workers run; and checks of its options.
import type { Logger } from "../log/logger.ts";
import type { ServerState } from "../accept/server_state.ts";
import type { Address } from "../net/transport/transport.ts";
import { checkFunction, checkInteger } from "../options/check.ts";
import type { ServerTlsOptions } from "../tls/handshake/options.ts";
import type { StartOrder } from "./messages.ts";

/** Most workers: more threads than any machine of today has cores. */
const MAX_WORKERS = 1024;

/** Options that concern the main thread alone, or that it passes on in another form. */
const MAIN_ONLY: ReadonlySet<string> = new Set([
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
]);

/** Options that the main thread itself reads. Each kind of server documents its own. */
export interface GroupGiven<Context> {
  readonly hostname?: string | undefined;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
  readonly mode?: number | undefined;
  readonly reusePort?: boolean | undefined;
  readonly canReset?: boolean | undefined;
  readonly tls?: ServerTlsOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly input?: unknown;
  readonly onError?: ((error: unknown, context: Context) => void) | undefined;
  readonly onListen?: ((addr: Address) => void) | undefined;
  readonly onStateChange?: ((state: ServerState) => void) | undefined;
}

/** A server of workers, checked, with the defaults in. */
export interface GroupPlan<Context> {
  /** What its threads run. */
  readonly runs: StartOrder["runs"];
  /** Address of the module that its threads begin with. */
  readonly threadUrl: string;
  /** Address of the user's module. */
  readonly module: string;
  readonly given: GroupGiven<Context>;
  readonly workers: number;
  /** Options that each worker gets. */
  readonly passed: Readonly<Record<string, unknown>>;
  /** Connections of all workers together. */
  readonly maxConnections: number | undefined;
  /** Connections of all workers that may hold a descriptor before they are accepted. */
  readonly maxWaiting: number;
  readonly drainTimeoutMs: number;
  readonly drainDelayMs: number;
  readonly logger: Logger;
  readonly warning: string | undefined;
}

/**
 * Refuses what cannot be passed to a thread.
 *
 * @param names Names of the options that a module exports
 * @throws {TypeError} which says where the option belongs
 */
export function checkPassed(
  action: string,
  options: unknown,
  names: Readonly<Record<string, unknown>>,
): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${action}: "options" must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(names, name)) continue;
    throw new TypeError(
      `${action}: "${name}" cannot be passed to a thread: export it from the handler's module, ` +
        `as \`export const options = { ${name}: … }\``,
    );
  }
}

/**
 * The options that each worker gets.
 *
 * @throws {TypeError} which names the one that is no plain data
 */
export function passedOptions(action: string, options: object): Record<string, unknown> {
  const passed = Object.entries(options).filter(([name]) => !MAIN_ONLY.has(name));
  for (const [name, value] of passed) checkPlain(action, name, value);
  return Object.fromEntries(passed);
}

/**
 * Refuses an option that would arrive in a thread as something else: a copy of an object of a class
 * has no methods.
 */
function checkPlain(action: string, name: string, value: unknown): void {
  if (typeof value === "object" && value !== null) {
    for (const [key, member] of Object.entries(value)) checkPlain(action, `${name}.${key}`, member);
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.getPrototypeOf(structuredClone(value))) return;
  } else if (typeof value !== "function" && typeof value !== "symbol") return;
  throw new TypeError(`${action}: "${name}" cannot be passed to a thread: it must be plain data`);
}

/**
 * Checks what only servers of workers have.
 *
 * @throws {TypeError | RangeError} when it is wrong, or the system cannot do it
 */
export function checkThreads(
  action: string,
  { workers, path, onError }: {
    readonly workers: number;
    readonly path: string | undefined;
    readonly onError: unknown;
  },
): void {
  checkInteger(action, "workers", workers, 1, MAX_WORKERS);
  if (onError !== undefined) checkFunction(action, "onError", onError);
  checkSharing(action, Deno.build.os, workers, path);
}

/**
 * Refuses several workers where they cannot share an address.
 *
 * @throws {TypeError} which says what to do
 */
export function checkSharing(
  action: string,
  os: string,
  workers: number,
  path: string | undefined,
): void {
  if (workers === 1) return;
  if (path !== undefined) {
    throw new TypeError(
      `${action}: ${workers} workers cannot share the unix socket of "path": ` +
        `it has one listener. Listen on a port, or set "workers" to 1`,
    );
  }
  if (os === "linux") return;
  throw new TypeError(
    `${action}: ${workers} workers cannot share a port on this system (${os}): ` +
      `only Linux spreads its connections over them. Set "workers" to 1`,
  );
}

/**
 * Returns the address of a user's module.
 *
 * @throws {TypeError} when it is no address
 */
export function moduleAddress(action: string, module: URL | string): string {
  if (module instanceof URL) return module.href;
  if (typeof module === "string" && URL.canParse(module)) return module;
  throw new TypeError(
    `${action}: "module" must be a URL such as new URL("./handler.ts", import.meta.url), got ${
      typeof module === "string" ? JSON.stringify(module) : typeof module
    }`,
  );
}
