// Tunnels: what expose() and forward() share: the local end of one, and how it is joined to a stream.
import { checkInteger, checkText } from "../limits/check.ts";
import type { Transport } from "../net/transport.ts";
import { type SpliceEnd, spliceStreams } from "./splice.ts";
import type { WireStream } from "./stream.ts";

/** Names of streams that are tunnels begin with this. */
export const PREFIX = "tcp:";

/** How sockets at local ends are made: a break must be seen there, and a machine that has died be found. */
export const LOCAL_SOCKETS = { canReset: true, keepAlive: true } as const;

/** A local end of a tunnel. */
export type Place = { readonly hostname: string; readonly port: number } | { readonly path: string };

/**
 * Checks the options of a local end.
 *
 * @throws {TypeError | RangeError} when the options contradict each other, or are out of range
 */
export function resolvePlace(
  action: string,
  { hostname, port, path }: { readonly hostname?: string; readonly port?: number; readonly path?: string },
  leastPort: number,
): Place {
  if (path === undefined) {
    return { hostname: hostname ?? "127.0.0.1", port: checkInteger(action, "port", port, leastPort, 65535) };
  }
  if (hostname !== undefined || port !== undefined) {
    throw new TypeError(`${action} as "path" excludes "hostname" and "port"`);
  }
  checkText(action, "path", path, 1, 4096);
  return { path };
}

/**
 * Joins a stream and a connection until both are over. After an orderly end of both directions the connection is closed; any other
 * end, of either, resets both: what was cut must not pass for the whole. Returns what broke them, `undefined` where nothing did.
 * Never rejects.
 */
export async function joinTunnel(stream: WireStream, local: Transport): Promise<unknown> {
  const near: SpliceEnd = {
    closed: stream.closed,
    read: () => stream.read(),
    write: (bytes) => stream.write(bytes),
    closeWrite: () => stream.closeWrite(),
    abort: (reason) => stream.reset(reason),
  };
  const far: SpliceEnd = {
    read: () => local.read(),
    write: (bytes) => local.write(bytes),
    closeWrite: () => local.closeWrite(),
    abort: () => cut(local),
  };
  const error = await spliceStreams(near, far);
  local.close();
  return error;
}

/** Ends a connection other than in order; where that cannot be told from an orderly end, as with a unix socket, at once. */
export function cut(local: Transport): void {
  if (local.reset === undefined) local.close();
  else local.reset();
}
