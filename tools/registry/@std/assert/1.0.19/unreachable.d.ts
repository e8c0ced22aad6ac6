/** Throws to say that this point is never reached. */
export function unreachable(msg?: string): never;
