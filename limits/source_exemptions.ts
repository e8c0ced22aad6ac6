// Sources that penalties and the cap of pending connections leave alone: loopback, and trusted proxies.
import { checkBoolean } from "../options/check.ts";
import { parseIpAddress } from "../net/address/ip_address.ts";
import { isInNetwork, type Network, parseNetwork } from "../net/address/networks.ts";
import { isLoopbackSource } from "./source_key.ts";

/** Options of {@linkcode SourceExemptions}. */
export interface SourceExemptionsOptions {
  /**
   * Hold loopback to penalties and to the cap of pending connections per source as well. Off by
   * default: behind 127.0.0.1 stand many principals (every local program, and every remote one that
   * comes through a local proxy, tunnel or sidecar), and the failure of one must not lock out the
   * others. The limits over all sources hold for loopback in any case, and so do rates that were
   * set.
   *
   * @default {false}
   */
  readonly limitLoopback?: boolean | undefined;
  /**
   * Addresses and networks that no limit per source holds for, such as a load balancer that stands
   * before the server, or an office with many clients behind one address: `"10.0.0.5"`,
   * `"10.0.0.0/8"`, `"2001:db8::/32"`. They owe no penalties, and neither caps nor rates of
   * connections per source refuse them. An IPv6 prefix is at most 64 bits long. Where the balancer
   * can send the real addresses, limits are worth more with the PROXY protocol.
   *
   * @default {[]}
   */
  readonly exemptSources?: readonly string[] | undefined;
}

/**
 * Decides which sources are left alone by penalties and by the cap of pending connections per source.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const exemptions = new SourceExemptions({ exemptSources: ["10.0.0.0/8"] });
 * assertEquals(exemptions.has("10.1.2.3"), true);
 * assertEquals(exemptions.has("192.0.2.7"), false);
 * assertEquals(exemptions.has(null), true); // unix sockets and memory have no source to tell apart
 * ```
 */
export class SourceExemptions {
  readonly #limitLoopback: boolean;
  readonly #networks: readonly Network[];

  /**
   * Reads the networks.
   *
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when a network cannot be read
   */
  constructor(options: SourceExemptionsOptions = {}) {
    const { limitLoopback = false, exemptSources = [] } = options;
    this.#limitLoopback = checkBoolean("Cannot set limits", "limitLoopback", limitLoopback);
    if (!Array.isArray(exemptSources)) {
      throw new TypeError(
        `Cannot set limits: "exemptSources" must be an array of texts, current value is of type ${typeof exemptSources}`,
      );
    }
    this.#networks = exemptSources.map(readNetwork);
  }

  /** Returns whether the source with this key (see `sourceKey`) is exempt. */
  has(source: string | null): boolean {
    if (source === null) return true;
    return !this.#limitLoopback && isLoopbackSource(source) || this.lists(source);
  }

  /** Whether the source is in `exemptSources`: then no limit per source holds for it. */
  lists(source: string): boolean {
    if (this.#networks.length === 0) return false;
    const address = parseIpAddress(source.endsWith("/64") ? source.slice(0, -3) : source);
    return address !== null && this.#networks.some((network) => isInNetwork(network, address));
  }
}

function readNetwork(text: unknown): Network {
  if (typeof text !== "string") {
    throw new TypeError(
      `Cannot set limits: "exemptSources" must hold texts, current value is of type ${typeof text}`,
    );
  }
  // Sources are told apart by their first 64 bits in IPv6, so a longer prefix could not be honoured.
  const network = parseNetwork(text, 64);
  if (network !== null) return network;
  throw new RangeError(
    `Cannot set limits: "exemptSources" must hold IPv4 networks (to /32) and IPv6 networks (to /64): ` +
      `current value is ${JSON.stringify(text.slice(0, 64))}`,
  );
}
