// sameToken(): compares a token in a time that does not show how much of it was right.

/**
 * Compares a token in a time that does not show how much of it was right. A secret that is not set, or
 * empty, is equal to nothing: `sameToken(token, Deno.env.get("SECRET"))` lets no peer in where `SECRET` is
 * missing.
 *
 * @example
 * ```ts
 * import { sameToken } from "@parley/parley/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(sameToken("secret", "secret"), true);
 * assertEquals(sameToken("secreT", "secret"), false);
 * assertEquals(sameToken("", ""), false);
 * assertEquals(sameToken("", undefined), false);
 * ```
 */
export function sameToken(given: string, wanted: string | undefined): boolean {
  if (typeof given !== "string" || typeof wanted !== "string" || wanted === "") return false;
  const [left, right] = [new TextEncoder().encode(given), new TextEncoder().encode(wanted)];
  let difference = left.length ^ right.length;
  for (let index = 0; index < left.length; index++) {
    difference |= (left[index] ?? 0) ^ (right[index % right.length] ?? 0);
  }
  return difference === 0;
}
