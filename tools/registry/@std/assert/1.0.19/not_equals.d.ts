/** Throws if the values are equal in depth. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
