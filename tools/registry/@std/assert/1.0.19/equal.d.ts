/** Whether two values are equal in depth. */
export function equal(a: unknown, b: unknown): boolean;
