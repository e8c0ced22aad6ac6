// isPermanentFailure(): which failures end a Client, because no repetition heals them.
import { AuthError } from "../errors.ts";

/**
 * Returns whether it is of no use to dial again: the peer refused our credentials, or a permission
 * is missing. No other failure of an attempt ends a client: a file that is half written now is
 * whole a moment later. Mistakes in the options are found before the first attempt, by
 * {@linkcode resolveConnectOptions} and {@linkcode checkDialOptions}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AddressError, AuthError } from "@parley/parley";
 *
 * assertEquals(isPermanentFailure(new AuthError("ERR_AUTH", "Refused")), true);
 * assertEquals(isPermanentFailure(new AddressError("ERR_CONNECT_REFUSED", "Nothing listens there")), false);
 * ```
 */
export function isPermanentFailure(error: unknown): boolean {
  return error instanceof AuthError || (error instanceof Error && error.name === "NotCapable");
}
