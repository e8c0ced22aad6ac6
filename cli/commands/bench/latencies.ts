// Latencies: how long answers took, kept by an HDR histogram: bounded memory, three digits, any number of
// answers.
import { Int32Histogram } from "hdr-histogram-js";

/** Values are whole microseconds. */
const PER_MS = 1000;

/** Longest latency that is told apart from longer ones: an hour. */
const MOST_US = 3600 * 1000 * PER_MS;

/** Significant digits that are kept. */
const DIGITS = 3;

/** Figures of latencies, in ms. */
export interface LatencySummary {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly max: number;
  readonly mean: number;
}

/** One row of a histogram for people. */
export interface LatencyRow {
  /** Latencies of the row are at most this, and more than that of the row before, in ms. */
  readonly upToMs: number;
  /** How many there are. */
  readonly count: number;
}

/** Upper ends of rows within a power of ten. */
const STEPS = [1, 2, 5] as const;

/** Latencies of one load. */
export class Latencies {
  readonly #histogram: Int32Histogram;

  /** None yet, or those of a histogram. */
  constructor(histogram: Int32Histogram = new Int32Histogram(1, MOST_US, DIGITS)) {
    this.#histogram = histogram;
  }

  /** How many there are. */
  get count(): number {
    return this.#histogram.totalCount;
  }

  /** Adds `count` latencies of `ms` each. */
  add(ms: number, count: number): void {
    const value = Math.min(MOST_US, Math.max(0, Math.round(ms * PER_MS)));
    if (count === 1) this.#histogram.recordValue(value);
    else this.#histogram.recordValueWithCount(value, count);
  }

  /** The figures; `null` while there are none. */
  summary(): LatencySummary | null {
    const histogram = this.#histogram;
    if (histogram.totalCount === 0) return null;
    const at = (share: number) =>
      Math.min(histogram.getValueAtPercentile(share), histogram.maxValue) / PER_MS;
    return {
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p99_9: at(99.9),
      max: histogram.maxValue / PER_MS,
      mean: Math.round(histogram.mean) / PER_MS,
    };
  }

  /**
   * Adds the latencies that a closed loop left out: while an answer took longer than `intervalMs`, the time
   * in which one usually comes, more requests would have been sent, each waiting the shorter the later.
   */
  corrected(intervalMs: number): Latencies {
    const interval = Math.max(1, Math.round(intervalMs * PER_MS));
    const histogram = new Int32Histogram(1, MOST_US, DIGITS);
    histogram.addWhileCorrectingForCoordinatedOmission(this.#histogram, interval);
    return new Latencies(histogram);
  }

  /** Rows that double or so, from the shortest to the longest latency. */
  rows(): LatencyRow[] {
    const rows: LatencyRow[] = [];
    const ends = rowEnds();
    let end = ends.next().value ?? Infinity;
    let count = 0;
    const values = this.#histogram.recordedValuesIterator;
    values.reset();
    while (values.hasNext()) {
      const { valueIteratedTo, countAddedInThisIterationStep } = values.next();
      for (; valueIteratedTo > end; end = ends.next().value ?? Infinity) {
        if (rows.length > 0 || count > 0) rows.push({ upToMs: end / PER_MS, count });
        count = 0;
      }
      count += countAddedInThisIterationStep;
    }
    if (count > 0) rows.push({ upToMs: end / PER_MS, count });
    return rows;
  }
}

/** 1, 2, 5, 10, 20, 50 and so on. */
function* rowEnds(): Generator<number, undefined> {
  for (let power = 1; power <= MOST_US * 10; power *= 10) {
    for (const step of STEPS) yield step * power;
  }
  return undefined;
}
