// Declarations of @std/text/closest-string, for where JSR cannot be reached.

/** Options of {@linkcode closestString}. */
export interface ClosestStringOptions {
  caseSensitive?: boolean | undefined;
  compareFn?: ((a: string, b: string) => number) | undefined;
}

export declare function closestString(
  givenWord: string,
  possibleWords: ReadonlyArray<string>,
  options?: ClosestStringOptions,
): string;
