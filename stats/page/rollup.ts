// Rollup: a long history in constant memory: samples of one step of time become one row of numbers.

/** One column of a {@linkcode Rollup}. */
export interface RollupColumn {
  /** Its name. */
  readonly name: string;
  /**
   * What a row has of the values of its step: their `mean`, weighted by the time that each stands for, their
   * `max`, or the `last` one.
   */
  readonly fold: "mean" | "max" | "last";
}

/**
 * Joins samples to rows, and keeps the last rows. A row has the time of the last sample of its
 * step, in ms since the epoch, then one number for each column. `NaN` stands for what was not
 * measured; JSON makes `null` of it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const rollup = new Rollup({ stepMs: 10_000, maxRows: 360, columns: [{ name: "bytesIn", fold: "mean" }] });
 * for (const [atMs, value] of [[1000, 5], [2000, 7], [11_000, 1]]) rollup.add(atMs!, 1000, [value!]);
 * assertEquals(rollup.rows, [[2000, 6]]);
 * ```
 */
export class Rollup {
  /** Length of a step, in milliseconds. */
  readonly stepMs: number;
  readonly #columns: readonly RollupColumn[];
  readonly #maxRows: number;
  readonly #rows: number[][] = [];
  /** The row that is being made; `null` before the first sample. */
  #open: { step: number; atMs: number; spans: number[]; values: number[] } | null = null;

  /** @param options `maxRows`: rows that are kept, the last ones */
  constructor(
    options: {
      readonly stepMs: number;
      readonly maxRows: number;
      readonly columns: readonly RollupColumn[];
    },
  ) {
    this.stepMs = options.stepMs;
    this.#maxRows = options.maxRows;
    this.#columns = options.columns;
  }

  /** Rows of the steps that are over, the oldest first. */
  get rows(): readonly (readonly number[])[] {
    return this.#rows;
  }

  /** Whether a sample of this moment begins another step than the one that is open. */
  begins(atMs: number): boolean {
    return this.#open === null || this.#open.step !== Math.floor(atMs / this.stepMs);
  }

  /**
   * Adds a sample.
   *
   * @param atMs Its moment, in ms since the epoch
   * @param spanMs Time that it stands for, in milliseconds
   * @param values One for each column; `NaN` for what was not measured
   */
  add(atMs: number, spanMs: number, values: readonly number[]): void {
    if (this.begins(atMs)) {
      this.#finish();
      const none = this.#columns.map(() => NaN);
      this.#open = {
        step: Math.floor(atMs / this.stepMs),
        atMs,
        spans: this.#columns.map(() => 0),
        values: none,
      };
    }
    const open = this.#open!;
    open.atMs = atMs;
    for (const [index, { fold }] of this.#columns.entries()) {
      const value = values[index]!;
      if (Number.isNaN(value)) continue;
      const before = open.values[index]!;
      const span = open.spans[index]!;
      open.spans[index] = span + spanMs;
      const share = span + spanMs <= 0 ? 1 : spanMs / (span + spanMs);
      if (Number.isNaN(before) || fold === "last") open.values[index] = value;
      else if (fold === "max") open.values[index] = Math.max(before, value);
      else open.values[index] = before + (value - before) * share;
    }
  }

  #finish(): void {
    if (this.#open === null) return;
    // Three digits behind the point are more than a plot shows, and keep what is sent short.
    const values = this.#open.values.map((value) => Math.round(value * 1000) / 1000);
    this.#rows.push([this.#open.atMs, ...values]);
    if (this.#rows.length > this.#maxRows) this.#rows.shift();
  }
}
