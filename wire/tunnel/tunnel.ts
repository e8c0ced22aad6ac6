// Tunnels: what expose() and forward() share: the local end of one.
import { checkInteger, checkText } from "../../options/check.ts";

/** Names of streams that are tunnels begin with this. */
export const PREFIX = "tcp:";

/** How sockets at local ends are made: a break must be seen there, and a machine that has died be found. */
export const LOCAL_SOCKETS = { canReset: true, keepAlive: true } as const;

/** A local end of a tunnel. */
export type Place = { readonly hostname: string; readonly port: number } | {
  readonly path: string;
};

/**
 * Checks the options of a local end.
 *
 * @throws {TypeError | RangeError} when the options contradict each other, or are out of range
 */
export function resolvePlace(
  action: string,
  { hostname, port, path }: {
    readonly hostname?: string | undefined;
    readonly port?: number | undefined;
    readonly path?: string | undefined;
  },
  leastPort: number,
): Place {
  if (path === undefined) {
    return {
      hostname: hostname ?? "127.0.0.1",
      port: checkInteger(action, "port", port, leastPort, 65535),
    };
  }
  if (hostname !== undefined || port !== undefined) {
    throw new TypeError(`${action}: "path" excludes "hostname" and "port"`);
  }
  checkText(action, "path", path, 1, 4096);
  return { path };
}
