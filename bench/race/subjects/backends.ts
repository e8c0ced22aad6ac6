// Backends of the races of connections, and their servers.
import type { Place, Program } from "../place.ts";

/** Every backend. */
export const BACKENDS = ["tcp", "unix", "tls-node", "tls-deno"] as const;

/** A backend. */
export type Backend = typeof BACKENDS[number];

/** What a server of `bench/peers/base` does: the raw loop, or one of our handlers. */
export type Echo = "raw" | "messages" | "batches" | "send batches";

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
