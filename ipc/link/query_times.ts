// QueryTimes: how long queries of the other side take, from their arrival to their answer.
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";

/**
 * Queries that are timed at once; of more, the oldest are not timed. Those that get no answer stay
 * until then.
 */
const MAX_TIMED = 4096;

/** The times of one link. */
export class QueryTimes {
  /** Times of queries that were answered. */
  readonly histogram: DurationHistogram = new DurationHistogram();
  readonly #cameMs = new Map<number, number>();

  /** A query of this id came. */
  came(id: number): void {
    if (this.#cameMs.size === MAX_TIMED) this.#cameMs.delete(this.#cameMs.keys().next().value!);
    this.#cameMs.set(id, performance.now());
  }

  /** Its answer, or its failure, was accepted for sending. */
  answered(id: number): void {
    const cameMs = this.#cameMs.get(id);
    if (cameMs === undefined) return;
    this.#cameMs.delete(id);
    this.histogram.add(Math.max(0, performance.now() - cameMs));
  }

  /** It gets no answer any more: its caller gave up. */
  forget(id: number): void {
    this.#cameMs.delete(id);
  }
}
