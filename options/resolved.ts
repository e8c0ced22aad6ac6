// Resolved: an options type with a value for each option.

/**
 * The options of `T` once each has its value: none is optional, none is `undefined`. `Required`
 * would keep the `undefined` that each option admits, so that callers can pass on an optional
 * value.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const defaults: Resolved<{ timeoutMs?: number | undefined }> = { timeoutMs: 30_000 };
 * assertEquals(defaults.timeoutMs.toString(), "30000");
 * ```
 */
export type Resolved<T> = { [Name in keyof T]-?: Exclude<T[Name], undefined> };
