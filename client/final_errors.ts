// Which failures end a Client: those that no repetition heals.
import { AuthError, ParleyError } from "../errors.ts";

/**
 * Whether it is of no use to dial again: credentials were refused, an option is wrong, a permission is missing.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AddressError, AuthError } from "@parley/parley";
 *
 * assertEquals(isFinal(new AuthError("ERR_AUTH", "Refused")), true);
 * assertEquals(isFinal(new AddressError("ERR_CONNECT_REFUSED", "Nobody listens")), false);
 * ```
 */
export function isFinal(error: unknown): boolean {
  if (error instanceof AuthError || error instanceof TypeError || error instanceof RangeError) return true;
  if (error instanceof ParleyError) return error.code === "ERR_SOCKET_PATH_TOO_LONG";
  return error instanceof Error && error.name === "NotCapable";
}
