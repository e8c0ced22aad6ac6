// Collects garbage now, so that what is in use can be measured without waiting for a collection.
import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose-gc");
const gc: () => void = vm.runInNewContext("gc");

/** Collects what is garbage by now. */
export function collectGarbage(): void {
  gc();
}

/**
 * Bytes that this process has in use once its garbage is gone. Buffers are freed behind a
 * collection, so that it takes two.
 */
export async function bytesInUse(): Promise<number> {
  gc();
  await new Promise((resolve) => setTimeout(resolve));
  gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
