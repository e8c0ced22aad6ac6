/** Throws unless the string matches the expression. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
