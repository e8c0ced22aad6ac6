// Names the source of a connection for limits per source: an IPv4 address, an IPv6 /64, a
// link-local address, or none.
import type { Address } from "../net/transport/transport.ts";
import { isCanonicalIpv4, parseIpAddress } from "../net/address/ip_address.ts";

/** Key of the IPv6 loopback address; IPv4's are `127.…`. */
const LOOPBACK_V6 = "::1";

/** Longest address that is no IP address and still a key of its own, in characters. */
const MAX_OTHER_LENGTH = 128;

/**
 * Returns the key under which limits per source count a peer: an IPv4 address as it is, the /64
 * network of an IPv6 address (one customer commonly holds all of it, so a limit per address would
 * be none). IPv4-mapped and NAT64 addresses count as the IPv4 address that they carry. A link-local
 * address counts whole, with its zone: `fe80::/64` is every machine on a cable, and on every cable.
 *
 * @returns the key, or `null` where there is no source to tell apart: unix sockets and memory
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(sourceKey({ transport: "tcp", hostname: "192.0.2.7", port: 40_000 }), "192.0.2.7");
 * assertEquals(sourceKey({ transport: "tcp", hostname: "2001:db8:1:2::7", port: 40_000 }), "2001:db8:1:2::/64");
 * assertEquals(sourceKey({ transport: "tcp", hostname: "fe80::7%eth0", port: 40_000 }), "fe80:0:0:0:0:0:0:7%eth0");
 * assertEquals(sourceKey({ transport: "unix", path: "/run/app.sock" }), null);
 * ```
 */
export function sourceKey(address: Address): string | null {
  if (address.transport !== "tcp") return null;
  // Most are written as the key is, and this is done several times for each connection.
  if (isCanonicalIpv4(address.hostname)) return address.hostname;
  const ip = parseIpAddress(address.hostname);
  // A name that is no address never comes from a kernel; it is still limited, under its own text.
  if (ip === null) return address.hostname.slice(0, MAX_OTHER_LENGTH);
  if (ip.family === 4) return ip.octets.join(".");
  const { groups } = ip;
  if (groups[7] === 1 && groups.slice(0, 7).every((group) => group === 0)) return LOOPBACK_V6;
  if (isLinkLocal(groups)) {
    return groups.map((group) => group.toString(16)).join(":") + zoneOf(address.hostname);
  }
  let end = 4;
  while (end > 0 && groups[end - 1] === 0) end--;
  return groups.slice(0, end).map((group) => group.toString(16)).join(":") + "::/64";
}

/** Whether an address is of fe80::/10 (RFC 4291, section 2.5.6). */
function isLinkLocal(groups: readonly number[]): boolean {
  return ((groups[0] ?? 0) & 0xffc0) === 0xfe80;
}

/** The zone of an address (RFC 4007), such as `%eth0`; empty where it names none. */
function zoneOf(hostname: string): string {
  return /%[^\]]+/.exec(hostname)?.[0] ?? "";
}

/**
 * Returns whether a key that {@linkcode sourceKey} returned is this machine's own loopback.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(isLoopbackSource("127.0.0.1"), true);
 * assertEquals(isLoopbackSource("192.0.2.7"), false);
 * ```
 */
export function isLoopbackSource(source: string): boolean {
  return source === LOOPBACK_V6 ||
    source.startsWith("127.") && /^127(\.[0-9]{1,3}){3}$/.test(source);
}

/**
 * Returns whether other machines can reach what listens on an address.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(isOpenToOthers({ transport: "tcp", hostname: "0.0.0.0", port: 5555 }), true);
 * assertEquals(isOpenToOthers({ transport: "tcp", hostname: "127.0.0.1", port: 5555 }), false);
 * ```
 */
export function isOpenToOthers(address: Address): boolean {
  const source = sourceKey(address);
  return source !== null && !isLoopbackSource(source);
}
