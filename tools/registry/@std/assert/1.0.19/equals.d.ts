/** Throws unless the values are equal in depth. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
