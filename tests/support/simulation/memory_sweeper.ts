// ManualSweeper: time that passes only when the test says so.
import { Sweeper, type Swept } from "../../../async/sweeper.ts";

/** A sweeper without a timer: it sweeps when its clock is moved. */
export class ManualSweeper extends Sweeper {
  readonly #swept = new Set<Swept>();
  #nowMs = 1000;

  /** Entries that were added and not taken out. */
  get size(): number {
    return this.#swept.size;
  }

  override nowMs(): number {
    return this.#nowMs;
  }

  override add(entry: Swept): void {
    this.#swept.add(entry);
  }

  override remove(entry: Swept): void {
    this.#swept.delete(entry);
  }

  /** Lets time pass in steps, with a sweep after each. */
  advance(ms: number, stepMs = 100): void {
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs;) {
      this.#nowMs = Math.min(endMs, this.#nowMs + stepMs);
      for (const entry of this.#swept) entry.sweep(this.#nowMs);
    }
  }
}
