// What this process keeps in its heap, once all that is garbage is gone.
import { collectGarbage } from "../peers/garbage.ts";

/** Bytes of all objects that can be reached, buffers included. */
export function keptBytes(): number {
  // What the first run frees may hold more that the second can free.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
