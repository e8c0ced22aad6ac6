// What a process holds: descriptors and memory, as the system counts them.

/** Whether the system reports them; tests that need it are ignored elsewhere. */
export const hasProcessStats: boolean = Deno.build.os === "linux";

/** What such a test adds to its name. */
export const processStats: string = hasProcessStats ? "" : " (ignored: needs /proc)";

/** File descriptors that a process has open. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Bytes of memory that a process has in RAM. */
export function residentBytesOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`Cannot tell the memory of process ${pid}`);
  return 1024 * Number(kib);
}
