// withoutBrackets(): takes the brackets off an IPv6 address, as URLs have them.

/**
 * Takes the brackets off an IPv6 address, as URLs have them: `[::1]` becomes `::1`. Everything else
 * stays as it is.
 *
 * @example
 * ```ts
 * import { withoutBrackets } from "./brackets.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["[::1]", "::1", "localhost"].map(withoutBrackets), ["::1", "::1", "localhost"]);
 * ```
 */
export function withoutBrackets(hostname: string): string {
  return /^\[[^\[\]]*:[^\[\]]*\]$/.test(hostname) ? hostname.slice(1, -1) : hostname;
}
