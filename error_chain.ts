// anyInChain(): looks through an error, its causes, and the errors that an AggregateError joins.

/** Errors inside each other that are looked at: a chain may be a circle. */
const MAX_DEPTH = 8;

/**
 * Returns whether `test` holds for what was thrown, for one of its causes, or for an error inside an
 * `AggregateError`; eight errors deep.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const inner = new RangeError("inside");
 * const outer = new AggregateError([new Error("outside", { cause: inner })]);
 * assert(anyInChain(outer, (error) => error === inner));
 * ```
 */
export function anyInChain(
  error: unknown,
  test: (error: unknown) => boolean,
  depth: number = MAX_DEPTH,
): boolean {
  if (test(error)) return true;
  if (depth === 0 || !(error instanceof Error)) return false;
  if (error.cause !== undefined && anyInChain(error.cause, test, depth - 1)) return true;
  return error instanceof AggregateError &&
    error.errors.some((inner) => anyInChain(inner, test, depth - 1));
}
