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
 * Returns the processor time that a process took since its start, with that of the children that it
 * has waited for, in µs; 0 where the system does not publish it.
 */
export function processorMicros(pid: number | "self"): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return 0;
  }
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * MICROS_PER_TICK;
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
    this.#server = this.#serverMicros();
    this.#load = processorMicros("self");
    this.#startMs = performance.now();
  }

  /** Returns what each of `units` took since the construction. */
  read(units: number): Measured {
    const ms = performance.now() - this.#startMs;
    return {
      perSecond: units / ms * 1000,
      serverMicros: (this.#serverMicros() - this.#server) / units,
      loadMicros: (processorMicros("self") - this.#load) / units,
    };
  }

  #serverMicros(): number {
    return this.#serverPid === 0 ? 0 : processorMicros(this.#serverPid);
  }
}
