// parseIpAddress(): reads IPv4 and IPv6 addresses from their textual forms.

/** An IP address as numbers. */
export type IpAddress =
  | {
    /** IPv4. */
    readonly family: 4;
    /** The four bytes. */
    readonly octets: readonly [number, number, number, number];
  }
  | {
    /** IPv6. */
    readonly family: 6;
    /** The eight groups of 16 bits. */
    readonly groups: readonly number[];
  };

/** Longest text that is read, in characters: an IPv6 address with brackets and a zone id. */
const MAX_TEXT_LENGTH = 128;

/**
 * Reads an address: IPv4 in dotted form, IPv6 in every form of RFC 4291, section 2.2, also with an
 * IPv4 tail, in brackets or with a zone id (which is left out). IPv4-mapped addresses
 * (`::ffff:192.0.2.1`) and those of the well-known NAT64 prefix (`64:ff9b::192.0.2.1`, RFC 6052)
 * are returned as the IPv4 address that they carry: on a dual-stack or NAT64 host all of IPv4 would
 * share a single /64 otherwise.
 *
 * @returns the address, or `null` when `text` is none
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseIpAddress("::ffff:192.0.2.1"), { family: 4, octets: [192, 0, 2, 1] });
 * assertEquals(parseIpAddress("localhost"), null);
 * ```
 */
export function parseIpAddress(text: string): IpAddress | null {
  if (text.length > MAX_TEXT_LENGTH) return null;
  if (!text.includes(":")) {
    const octets = parseIpv4(text);
    return octets === null ? null : { family: 4, octets };
  }
  const groups = parseIpv6(stripZone(stripBrackets(text)));
  if (groups === null) return null;
  return carriesIpv4(groups) ? { family: 4, octets: tailOctets(groups) } : { family: 6, groups };
}

/** An IPv4 address in the one form without leading zeros. */
const CANONICAL_IPV4 =
  /^(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$/;

/** Whether a text is an IPv4 address in the form in which kernels write it. */
export function isCanonicalIpv4(text: string): boolean {
  return text.length <= 15 && CANONICAL_IPV4.test(text);
}

function stripBrackets(text: string): string {
  return text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
}

function stripZone(text: string): string {
  const at = text.indexOf("%");
  return at === -1 ? text : text.slice(0, at);
}

function parseIpv4(text: string): [number, number, number, number] | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  const octets: number[] = [];
  for (const part of parts) {
    // No leading zeros: "010" is 8 to some readers and 10 to others.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return null;
    const octet = Number(part);
    if (octet > 255) return null;
    octets.push(octet);
  }
  return octets as [number, number, number, number];
}

function parseIpv6(text: string): number[] | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  if (head === null) return null;
  if (halves.length === 1) return head.length === 8 ? head : null;
  const tail = parseGroups(halves[1] ?? "", true);
  if (tail === null) return null;
  // "::" stands for at least one group of zeros.
  const zeros = 8 - head.length - tail.length;
  if (zeros < 1) return null;
  return [...head, ...new Array<number>(zeros).fill(0), ...tail];
}

/** Reads groups between colons; the last one may be an IPv4 address when `ipv4Allowed`. */
function parseGroups(text: string, ipv4Allowed: boolean): number[] | null {
  if (text === "") return [];
  const parts = text.split(":");
  if (parts.length > 8) return null;
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const octets = ipv4Allowed && index === parts.length - 1 ? parseIpv4(part) : null;
      if (octets === null) return null;
      groups.push(octets[0] << 8 | octets[1], octets[2] << 8 | octets[3]);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
      groups.push(parseInt(part, 16));
    }
  }
  return groups;
}

/** Whether the last 32 bits are an IPv4 address: mapped (RFC 4291, 2.5.5.2) or NAT64 (RFC 6052, 2.1). */
function carriesIpv4(groups: readonly number[]): boolean {
  if (groups[2] !== 0 || groups[3] !== 0 || groups[4] !== 0) return false;
  if (groups[0] === 0 && groups[1] === 0) return groups[5] === 0xffff;
  return groups[0] === 0x64 && groups[1] === 0xff9b && groups[5] === 0;
}

function tailOctets(groups: readonly number[]): [number, number, number, number] {
  const high = groups[6] ?? 0;
  const low = groups[7] ?? 0;
  return [high >> 8, high & 0xff, low >> 8, low & 0xff];
}
