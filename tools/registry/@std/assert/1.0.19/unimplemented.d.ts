/** Throws to say that the code is not written yet. */
export function unimplemented(msg?: string): never;
