/** Always throws an {@linkcode AssertionError}. */
export function fail(msg?: string): never;
