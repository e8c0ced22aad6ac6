// Idle connections: holds them for as long as something is measured.
import type { Turn } from "../contest.ts";
import type { Place, Program } from "../place.ts";
import { residentBytes } from "../programs.ts";

/** What a server does, and a garbage collection, before its size is read, in ms. */
const SETTLE_MS = 1000;

/** Holds idle connections to a server while `use` works. */
export async function besideIdle<T>(
  place: Place,
  backend: string,
  address: string,
  connections: number,
  use: () => Promise<T>,
): Promise<T> {
  const args = [backend, address, place.folder, String(connections)];
  return await place.withServer({ file: "base/idle.ts", args, cores: "1" }, use);
}

/** Returns a turn: the resident bytes that each idle connection adds to a server. */
export async function idleMemory(
  place: Place,
  server: Program,
  backend: string,
  connections: number,
): Promise<Turn> {
  return await place.withServer(server, async (address, pid) => {
    // The first connections bring code with them, which is no matter of each connection.
    return await besideIdle(place, backend, address, 8, async () => {
      const before = residentBytes(pid);
      const after = await besideIdle(place, backend, address, connections, async () => {
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
        return residentBytes(pid);
      });
      return { value: (after - before) / connections };
    });
  });
}
