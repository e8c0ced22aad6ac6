// UsageError: arguments that make no sense.

/** The arguments make no sense: exit code 2, and a hint. */
export class UsageError extends Error {
  /** Makes an error from what is wrong with the arguments. */
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/**
 * Calls `make`, which does no I/O; what it finds wrong with its options is what was typed.
 *
 * @throws {UsageError} in place of a `TypeError` or `RangeError`
 */
export function asTyped<Result>(make: () => Result): Result {
  try {
    return make();
  } catch (error) {
    throw usageOf(error);
  }
}

/** An error of the library, as one of usage where it finds fault with the options that it was given. */
export function usageOf(error: unknown): unknown {
  return error instanceof TypeError || error instanceof RangeError
    ? new UsageError(error.message)
    : error;
}
