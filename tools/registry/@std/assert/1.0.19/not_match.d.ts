/** Throws if the string matches the expression. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;
