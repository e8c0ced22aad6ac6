// Networks: reads addresses and networks in CIDR notation, and finds whether an address is in a network.
import { type IpAddress, parseIpAddress } from "./ip_address.ts";

/** A network: the first `bits` bits of `words`, which are 8 bits each for IPv4 and 16 each for IPv6. */
export interface Network {
  /** Version of IP. */
  readonly family: 4 | 6;
  /** The address, four numbers for IPv4, eight for IPv6. */
  readonly words: readonly number[];
  /** Bits that count, from the front: at most 32 or 128. */
  readonly bits: number;
}

/**
 * Reads `10.0.0.5`, `10.0.0.0/8` or `2001:db8::/32`; an address alone is the longest prefix.
 *
 * @param text Text of the user
 * @param longestIpv6 The longest prefix of IPv6 that is allowed, in bits
 * @returns `null` when it is none
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseNetwork("10.0.0.0/8", 128), { family: 4, words: [10, 0, 0, 0], bits: 8 });
 * assertEquals(parseNetwork("10.0.0.0/33", 128), null);
 * ```
 */
export function parseNetwork(text: string, longestIpv6: number): Network | null {
  const [addressText = "", bitsText, ...rest] = text.split("/");
  const address = parseIpAddress(addressText);
  if (address === null || rest.length > 0) return null;
  const longest = address.family === 4 ? 32 : longestIpv6;
  const bits = bitsText === undefined
    ? longest
    : /^[0-9]{1,3}$/.test(bitsText)
    ? Number(bitsText)
    : NaN;
  return bits <= longest ? { family: address.family, words: wordsOf(address), bits } : null;
}

/**
 * Returns whether an address is in a network.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { parseIpAddress } from "./ip_address.ts";
 *
 * assert(isInNetwork(parseNetwork("10.0.0.0/8", 128)!, parseIpAddress("10.1.2.3")!));
 * ```
 */
export function isInNetwork(network: Network, address: IpAddress): boolean {
  if (network.family !== address.family) return false;
  const words = wordsOf(address);
  const wordBits = network.family === 4 ? 8 : 16;
  for (let index = 0, left = network.bits; left > 0; index++, left -= wordBits) {
    const shift = Math.max(0, wordBits - left);
    if ((words[index] ?? 0) >> shift !== (network.words[index] ?? 0) >> shift) return false;
  }
  return true;
}

function wordsOf(address: IpAddress): readonly number[] {
  return address.family === 4 ? address.octets : address.groups;
}
