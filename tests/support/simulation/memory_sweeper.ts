// ManualSweeper: time that passes only when the test says so.
import { type Sweep, Sweeper } from "../../../async/sweeper.ts";

/** A sweeper without a timer: it sweeps when its clock is moved. */
export class ManualSweeper extends Sweeper {
  readonly #sweeps = new Set<Sweep>();
  #nowMs = 1000;

  /** Entries that were added and not taken out. */
  get size(): number {
    return this.#sweeps.size;
  }

  override nowMs(): number {
    return this.#nowMs;
  }

  override add(sweep: Sweep): () => void {
    this.#sweeps.add(sweep);
    return () => void this.#sweeps.delete(sweep);
  }

  /** Lets time pass in steps, with a sweep after each. */
  advance(ms: number, stepMs = 100): void {
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs;) {
      this.#nowMs = Math.min(endMs, this.#nowMs + stepMs);
      for (const sweep of this.#sweeps) sweep(this.#nowMs);
    }
  }
}
