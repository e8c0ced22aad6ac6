// caller(): the calling side of a contract: an object with a method for each call.
import { checkDurationMs } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { type AnyContract, callsOf, infoOf, wholeName } from "./contract.ts";
import type { Middleware } from "./middleware.ts";
import { RemoteCall } from "./outgoing.ts";
import { type CallVia, portFor } from "./ports/find.ts";
import type { Caller } from "./types.ts";

/** Options of {@linkcode caller}. */
export interface CallerOptions {
  /** Runs around each call, the first outermost. @default {nothing} */
  middleware?: readonly Middleware[] | undefined;
  /**
   * Time in ms for a call with one output, where neither the call nor the contract sets one;
   * `Infinity` for no limit.
   *
   * @default {30000} no limit for a collect, because uploads take their time
   */
  timeoutMs?: number | undefined;
}

const CALLER_NAMES: OptionNames<CallerOptions> = { middleware: true, timeoutMs: true };

/**
 * Returns the calling side of a contract: a method for each call, with its types. Nothing is sent
 * before a method is called, and nothing needs to be closed.
 *
 * @param via what carries the calls to the side that answers
 * @throws {TypeError | RangeError} when an option is wrong, or `via` carries no calls
 */
export function caller<C extends AnyContract>(
  via: CallVia,
  contract: C,
  options: CallerOptions = {},
): Caller<C> {
  const action = "Cannot call";
  checkOptionNames(action, options, CALLER_NAMES);
  const info = infoOf(action, contract);
  const { middleware = [], timeoutMs } = options;
  if (timeoutMs !== undefined) {
    checkDurationMs(action, "timeoutMs", timeoutMs, { allowInfinity: true });
  }
  const port = portFor(via);
  const methods: Record<string, unknown> = {};
  for (const [name, definition] of callsOf(contract)) {
    methods[name] = new RemoteCall({
      port,
      name: wholeName(info, name),
      version: info.version,
      definition,
      middleware,
      timeoutMs,
    }).method();
  }
  return Object.freeze(methods) as Caller<C>;
}
