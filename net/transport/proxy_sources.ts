// ProxySources: the balancers that a server trusts for the addresses of clients.
import type { Address } from "./transport.ts";
import { parseIpAddress } from "../address/ip_address.ts";
import { isInNetwork, type Network, parseNetwork } from "../address/networks.ts";

/** The source that stands for every peer of a unix socket. */
const UNIX = "unix";

/** Longest text of a source that is quoted in an error, in characters. */
const MAX_QUOTED = 64;

/** Options that name the sources whose PROXY protocol headers a server reads. */
export interface ProxyProtocolOptions {
  /**
   * Addresses and networks of the balancers in front of the server: `"10.0.0.5"`, `"10.0.0.0/8"`,
   * `"2001:db8::5"`. For a balancer on the same machine list `"127.0.0.1"` and `"::1"`, or
   * `"127.0.0.0/8"`: loopback is not implied. For a server on a unix `path` it is `["unix"]`: the
   * socket's mode decides who can connect.
   *
   * A listed source must begin each connection with a header of the PROXY protocol, version 1 or 2;
   * without one it is refused. From all other sources no header is read. List balancers only: a
   * listed source can name any address as its client's.
   */
  readonly sources: readonly string[];
}

/**
 * The sources of which a PROXY protocol header is read.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const sources = ProxySources.from("Cannot listen", { sources: ["10.0.0.0/8"] }, "tcp");
 * assertEquals(sources?.has({ transport: "tcp", hostname: "10.1.2.3", port: 40_000 }), true);
 * assertEquals(sources?.has({ transport: "tcp", hostname: "192.0.2.7", port: 40_000 }), false);
 * ```
 */
export class ProxySources {
  readonly #networks: readonly Network[];
  readonly #unix: boolean;

  private constructor(networks: readonly Network[], unix: boolean) {
    this.#networks = networks;
    this.#unix = unix;
  }

  /**
   * Checks the option of a server; returns `undefined` where it was not given.
   *
   * @param action What is being tried, such as `Cannot listen`
   * @param transport Where the server listens
   * @param tlsBackend What carries its TLS, if it has any and the user chose
   * @throws {TypeError} when it has the wrong type, or names sources that cannot connect there
   * @throws {RangeError} when a network cannot be read, or there is none
   */
  static from(
    action: string,
    options: ProxyProtocolOptions | undefined,
    transport: "tcp" | "unix",
    tlsBackend?: string,
  ): ProxySources | undefined {
    if (options === undefined) return undefined;
    if (tlsBackend === "deno") {
      throw new TypeError(
        `${action}: the "deno" TLS backend cannot read a header before its handshake ("proxyProtocol"): use "auto" or "node"`,
      );
    }
    if (typeof options !== "object" || options === null || !Array.isArray(options.sources)) {
      throw new TypeError(`${action}: "proxyProtocol" must be { sources }, an array of texts`);
    }
    const { sources } = options;
    if (sources.length === 0) {
      throw new RangeError(
        `${action}: "proxyProtocol.sources" must name a balancer, current value is [], of which no header would be read`,
      );
    }
    if (transport === "unix") {
      if (sources.length === 1 && sources[0] === UNIX) return new ProxySources([], true);
      throw new TypeError(
        `${action}: "proxyProtocol.sources" must be ["unix"] with a "path": peers of a unix socket have no addresses`,
      );
    }
    return new ProxySources(sources.map((source) => readNetwork(action, source)), false);
  }

  /** Returns whether a connection from this address begins with a header. */
  has(address: Address): boolean {
    if (address.transport !== "tcp") return this.#unix && address.transport === "unix";
    const ip = parseIpAddress(address.hostname);
    return ip !== null && this.#networks.some((network) => isInNetwork(network, ip));
  }
}

function readNetwork(action: string, source: unknown): Network {
  if (typeof source !== "string") {
    throw new TypeError(
      `${action}: "proxyProtocol.sources" must hold texts, current value is of type ${typeof source}`,
    );
  }
  // Exact addresses in IPv6 too: a trusted balancer makes no trusted network.
  const network = parseNetwork(source, 128);
  if (network !== null) return network;
  throw new RangeError(
    `${action}: "proxyProtocol.sources" must hold IPv4 and IPv6 addresses or networks: ` +
      `current value is ${JSON.stringify(source.slice(0, MAX_QUOTED))}`,
  );
}
