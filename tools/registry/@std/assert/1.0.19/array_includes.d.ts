/** What {@linkcode assertArrayIncludes} compares: a string or anything with indexes and a length. */
export type ArrayLikeArg<T> = ArrayLike<T> & object;

/** Throws unless `actual` holds every element of `expected`, compared by value. */
export function assertArrayIncludes<T>(
  actual: ArrayLikeArg<T>,
  expected: ArrayLikeArg<T>,
  msg?: string,
): void;
