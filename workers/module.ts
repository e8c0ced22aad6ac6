// loadModule(): loads the module that a worker runs, and checks what it exports.
import { checkFunction } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { StartOrder } from "./messages.ts";

/** What a module learns of the worker that loads it. */
export interface WorkerStart {
  /** The option `input`: a copy. */
  readonly input: unknown;
  /** Number of the worker, from 1. */
  readonly worker: number;
}

/** What a module has to export. */
export interface ModulePlan<Options> {
  /** What its default export is, such as `its handler`. */
  readonly what: string;
  /** Names of its options. */
  readonly names: OptionNames<Options>;
}

/** What a module exported, checked but for the values of its options. */
export interface LoadedModule<Handler, Options> {
  readonly handler: Handler;
  readonly options: Options;
}

/**
 * Loads the module of a worker.
 *
 * @param action What is tried, such as `Cannot serve in workers`
 * @typeParam Handler Its default export
 * @throws {TypeError} when it cannot be loaded, exports no function, or an option is wrong
 */
export async function loadModule<
  Handler,
  Options extends { readonly onStop?: (() => unknown) | undefined },
>(
  action: string,
  { module, input, worker }: StartOrder,
  { what, names }: ModulePlan<Options> & { readonly handler?: Handler },
): Promise<LoadedModule<Handler, Options>> {
  const { default: handler, options = {} } = await load(action, module);
  if (typeof handler !== "function") {
    throw new TypeError(
      `${action}: "${module}" must export ${what} as default, got ${typeof handler}`,
    );
  }
  const start: WorkerStart = { input, worker };
  const given = typeof options === "function" ? await options(start) : options;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `${action}: "options" of "${module}" must be an object or a function that returns one, got ${
        given === null ? "null" : typeof given
      }`,
    );
  }
  checkOptionNames(`${action}: "options" of "${module}"`, given, names);
  if (given.onStop !== undefined) checkFunction(action, "onStop", given.onStop);
  return { handler: handler as Handler, options: given as Options };
}

async function load(
  action: string,
  address: string,
): Promise<{ readonly default?: unknown; readonly options?: unknown }> {
  try {
    return await import(address);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`${action}: cannot load "${address}": ${why}`, { cause });
  }
}
