// Same: whether two types are the same, for tests that are checked and not run.

/** `true` when the types are the same, and not merely assignable; else `false`. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true
  : false;

/** Compiles for `true` alone: `assertType<Same<typeof value, string>>(true)`. */
export function assertType<Wanted extends true>(_wanted: Wanted): void {}
