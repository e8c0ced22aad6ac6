// HostCheck: whether a request was meant for this page, by its Host header.

/** `localhost` and the addresses that it means. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Says which `Host` headers are ours. A web site whose name was pointed at this machine (DNS rebinding) lets
 * the browsers of its visitors ask us in its name, and that name reveals it. The port does not matter:
 * behind a tunnel it is another one, and no attacker gains by it.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const check = new HostCheck("127.0.0.1", ["metrics.internal"]);
 * assert(check.allows("127.0.0.1:9100", "127.0.0.1"));
 * assert(check.allows("localhost:8080", "127.0.0.1"));
 * assert(check.allows("metrics.internal", "127.0.0.1"));
 * assert(!check.allows("evil.example:9100", "127.0.0.1"));
 * ```
 */
export class HostCheck {
  readonly #names: ReadonlySet<string>;

  /** @param allowedHosts more names, with a port to allow that one only */
  constructor(hostname: string, allowedHosts: readonly string[]) {
    this.#names = new Set([bracketed(hostname), ...allowedHosts].map((host) => host.toLowerCase()));
  }

  /**
   * Whether `host`, as the header has it, is ours.
   *
   * @param localAddress The address at which the request came in
   */
  allows(host: string | undefined, localAddress: string | undefined): boolean {
    const asked = (host ?? "").toLowerCase();
    const [, name] = /^([^:[\]]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/.exec(asked) ?? [];
    if (name === undefined) return false;
    if (this.#names.has(name) || this.#names.has(asked)) return true;
    const here = bracketed((localAddress ?? "").toLowerCase().replace(/^::ffff:(?=\d+\.)/, ""));
    return name === here || (LOOPBACK.test(name) && LOOPBACK.test(here));
  }
}

function bracketed(hostname: string): string {
  return hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname;
}
