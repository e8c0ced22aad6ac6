// Backends of the races of connections, and their servers.
import type { Place, Program } from "../place.ts";

/** Every backend. */
export const BACKENDS = ["tcp", "unix", "tls-node", "tls-deno"] as const;

/** A backend. */
export type Backend = typeof BACKENDS[number];

/**
 * What a server of `bench/peers/base` does: the raw loop, with a buffer of 64 KiB or of 1 KiB, or one
 * of our handlers.
 */
export type Echo = "raw" | "raw small" | "messages" | "batches" | "send batches";

/** Returns an echo server. */
export function echoServer(
  place: Place,
  echo: Echo,
  backend: Backend,
  framing: "lengths" | "lines" = "lengths",
): Program {
  const { folder } = place;
  return { file: "base/server.ts", args: [echo, backend, folder, framing, place.socketPath()] };
}
