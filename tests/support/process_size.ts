// How large another process is: its memory and its descriptors (Linux).

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1];
  if (kilobytes === undefined) throw new Error(`No resident size for process ${pid}`);
  return Number(kilobytes) * 1024;
}

/** Descriptors that a process has open. */
export function descriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
