// QueryTimes: how long queries of the other side take, from their arrival to their answer.
import { DurationHistogram } from "../../stats/data/duration_histogram.ts";

/**
 * Queries that are timed at once; of more, the oldest are not timed. Those that get no answer stay
 * until then.
 */
const MAX_TIMED = 4096;
/**
 * Answers for which the clock is read once, at the last of them: reading it costs a tenth of a
 * short query. Only answers count that leave together, with the others to what came together.
 */
const MAX_TOGETHER = 16;
/** No id of a query. */
const NONE = -1;

/** The times of one link. */
export class QueryTimes {
  /** Times of queries that were answered. */
  readonly histogram: DurationHistogram = new DurationHistogram();
  readonly #cameMs = new Map<number, number>();
  /** When the bytes came that are being taken; `null` before their first query. */
  #nowMs: number | null = null;
  /** The last query that came, until another one comes: most are answered before that. */
  #last = NONE;
  /** Answers to what just came that are not counted yet. */
  #together = 0;

  /** A query of this id came. {@linkcode taken} follows, once the bytes with it are taken. */
  came(id: number): void {
    this.#nowMs ??= performance.now();
    this.#keepLast();
    this.#last = id;
  }

  /** Its answer, or its failure, was accepted for sending. */
  answered(id: number): void {
    if (id === this.#last) {
      this.#last = NONE;
      if (++this.#together === MAX_TOGETHER) this.#count();
      return;
    }
    const cameMs = this.#cameMs.get(id);
    if (cameMs === undefined) return;
    this.#cameMs.delete(id);
    this.histogram.add(Math.max(0, performance.now() - cameMs));
  }

  /** It gets no answer any more: its caller gave up. */
  forget(id: number): void {
    if (id === this.#last) this.#last = NONE;
    else this.#cameMs.delete(id);
  }

  /** All that came together was taken. */
  taken(): void {
    if (this.#nowMs === null) return;
    this.#keepLast();
    this.#count();
    this.#nowMs = null;
  }

  #keepLast(): void {
    if (this.#last === NONE) return;
    if (this.#cameMs.size === MAX_TIMED) this.#cameMs.delete(this.#cameMs.keys().next().value!);
    this.#cameMs.set(this.#last, this.#nowMs!);
    this.#last = NONE;
  }

  #count(): void {
    if (this.#together === 0) return;
    this.histogram.add(Math.max(0, performance.now() - this.#nowMs!), this.#together);
    this.#together = 0;
  }
}
