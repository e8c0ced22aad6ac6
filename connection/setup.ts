// resolveSetup(): the options of one connection, checked here unless they were checked for many before.
import { checkOptionNames } from "../options/names.ts";
import { CONNECTION_SETUP_NAMES } from "./option_names.ts";
import { resolveConnectionOptions, type ResolvedConnectionOptions } from "./options.ts";
import type { ConnectionSetup } from "./types.ts";

const ACTION = "Cannot make the connection";

/**
 * Fills in defaults and checks everything, but for options that a server or client has checked once
 * for all its connections: accepting one must not cost that again.
 *
 * @throws {TypeError | RangeError} when an option is wrong
 */
export function resolveSetup(setup: ConnectionSetup<unknown>): ResolvedConnectionOptions {
  if (setup.resolved !== undefined) return setup.resolved;
  checkOptionNames(ACTION, setup, CONNECTION_SETUP_NAMES);
  return resolveConnectionOptions(ACTION, setup, 0);
}
