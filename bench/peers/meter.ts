// Meter: the processor time that a server and its load take for each unit of work, beside wall clock.
import { readFileSync } from "node:fs";

/** What a load measured. Times are of all threads of a process. */
export interface Measured {
  /** Units of work a second, by wall clock. */
  readonly perSecond: number;
  /** Processor time of the server for a unit, in µs. */
  readonly serverMicros: number;
  /** Processor time of the load for a unit, in µs. */
  readonly loadMicros: number;
}

/** Linux counts in these: `getconf CLK_TCK` is 100 on every system that Deno has. */
const MICROS_PER_TICK = 10_000;

/**
 * Returns the processor time that a process took since its start, all its threads, in µs; 0 for
 * process 0, and where the system does not publish it.
 */
export function processorMicros(pid: number | "self"): number {
  if (pid === 0) return 0;
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return 0;
  }
  // In user mode, and in the system's.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MICROS_PER_TICK;
}

/** Measures from its construction on. */
export class Meter {
  readonly #serverPid: number;
  readonly #server: number;
  readonly #load: number;
  readonly #startMs: number;

  /** `serverPid` is 0 where load and server are one process. */
  constructor(serverPid: number) {
    this.#serverPid = serverPid;
    this.#server = processorMicros(serverPid);
    this.#load = processorMicros("self");
    this.#startMs = performance.now();
  }

  /** Returns what each of `units` took since the construction. */
  read(units: number): Measured {
    const ms = performance.now() - this.#startMs;
    return {
      perSecond: units / ms * 1000,
      serverMicros: (processorMicros(this.#serverPid) - this.#server) / units,
      loadMicros: (processorMicros("self") - this.#load) / units,
    };
  }
}

/** Until a server has worked so long, its code is still being compiled. */
const WARM_UP_MICROS = 500_000;

/** The longest that work goes on for, in ms: one connection alone hardly loads a server. */
const LONGEST_MS = 4000;

/** Lets `work` go on until a server is measured warm, on a busy machine as well. */
export async function warmUp(
  serverPid: number,
  work: (goesOn: () => boolean) => Promise<number>,
  micros: number = WARM_UP_MICROS,
): Promise<void> {
  await untilTaken(serverPid, micros, work);
}

/**
 * Lets `work` go on until a process has taken so much processor time, in µs, for 4 s at most; returns
 * what `work` did. A process that is not measured works for 500 ms.
 */
export async function untilTaken(
  pid: number,
  micros: number,
  work: (goesOn: () => boolean) => Promise<number>,
): Promise<number> {
  const target = processorMicros(pid) + micros;
  const start = performance.now();
  const longestMs = pid === 0 ? 500 : LONGEST_MS;
  let done = 0;
  while (processorMicros(pid) < target && performance.now() - start < longestMs) {
    const end = performance.now() + 50;
    done += await work(() => performance.now() < end);
  }
  return done;
}
