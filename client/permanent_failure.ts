// Which failures end a Client: those that no repetition heals.
import { AuthError } from "../errors.ts";

/**
 * Whether it is of no use to dial again: credentials were refused, or a permission is missing. Nothing else that happens at an
 * attempt ends a client: a file that is half written now is whole a moment later. Mistakes in the options are found before the first
 * attempt, by {@linkcode resolveConnectOptions} and {@linkcode checkDialOptions}.
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
