/** Throws unless `actual` includes `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void;
