// DurationHistogram: counts durations in fixed buckets, in constant memory.

/** Upper bounds of the buckets, in milliseconds: 1, 2.5, 5 and so on, to ten seconds. */
const BOUNDS_MS: readonly number[] = Object.freeze([
  1,
  2.5,
  5,
  10,
  25,
  50,
  100,
  250,
  500,
  1000,
  2500,
  5000,
  10_000,
]);

/** Where the cells of a histogram hold what. */
const COUNT = 0;
const SUM_MS = 1;
const BUCKETS = 2;

/** Durations, by bucket. */
export interface DurationStats {
  /** How many there were. */
  readonly count: number;
  /** Their sum, in milliseconds. */
  readonly sumMs: number;
  /** Upper bounds of the buckets, bounds included, in milliseconds, ascending. */
  readonly boundsMs: readonly number[];
  /** Durations in each bucket alone; the last one, without a bound, holds the rest. */
  readonly counts: readonly number[];
}

/**
 * Counts durations in fixed buckets.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const histogram = new DurationHistogram();
 * for (const ms of [2, 3, 3, 40]) histogram.add(ms);
 * assertEquals(histogram.stats().count, 4);
 * assertEquals(quantileMs(histogram.stats(), 0.5), 3.75);
 * ```
 */
export class DurationHistogram {
  /** Numbers that a histogram keeps, each in a cell of 8 bytes. */
  static readonly CELLS: number = BOUNDS_MS.length + 3;
  /** How many, their sum in milliseconds, then the buckets. */
  readonly #cells: Float64Array;

  /** Begins with what `cells` hold, which may be memory that other threads read. @default {empty} */
  constructor(cells: Float64Array = new Float64Array(DurationHistogram.CELLS)) {
    this.#cells = cells;
  }

  /** Counts one duration, in milliseconds, or `count` that are the same. */
  add(ms: number, count: number = 1): void {
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && ms > BOUNDS_MS[bucket]!) bucket++;
    const cells = this.#cells;
    cells[COUNT]! += count;
    cells[SUM_MS]! += ms * count;
    cells[BUCKETS + bucket]! += count;
  }

  /** Adds all that another one has counted. */
  join(other: DurationHistogram): void {
    for (const [index, value] of other.#cells.entries()) this.#cells[index]! += value;
  }

  /** All of it as plain data. */
  stats(): DurationStats {
    return {
      count: this.#cells[COUNT]!,
      sumMs: this.#cells[SUM_MS]!,
      boundsMs: BOUNDS_MS,
      counts: [...this.#cells.subarray(BUCKETS)],
    };
  }
}

/**
 * Estimates a quantile, in milliseconds: even spread within a bucket is assumed. `null` when there are no
 * durations; what lies beyond the last bound is given as that bound.
 *
 * @param quantile From 0 to 1, such as 0.95
 * @param since An earlier snapshot: only what came after it counts
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(quantileMs(new DurationHistogram().stats(), 0.99), null);
 * ```
 */
export function quantileMs(
  stats: DurationStats,
  quantile: number,
  since?: DurationStats,
): number | null {
  const total = stats.count - (since?.count ?? 0);
  if (total <= 0) return null;
  let left = quantile * total;
  let lower = 0;
  for (const [bucket, upper] of stats.boundsMs.entries()) {
    const count = (stats.counts[bucket] ?? 0) - (since?.counts[bucket] ?? 0);
    if (count > 0 && left <= count) return lower + (upper - lower) * left / count;
    left -= count;
    lower = upper;
  }
  return lower;
}
