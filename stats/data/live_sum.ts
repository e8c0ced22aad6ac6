// LiveSum: adds up what things count that come and go, without a cost while they count.
import { addCounters, type NumericRecord } from "./counters.ts";

/**
 * The sum over everything that counts for itself: what has ended, and what is live and is asked when the sum
 * is wanted.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const sum = new LiveSum(() => ({ bytes: 0 }));
 * const counters = { bytes: 0 };
 * const end = sum.add(() => counters);
 * counters.bytes = 5;
 * assertEquals(sum.total(), { bytes: 5 });
 * end();
 * counters.bytes = 7; // it is over: no reader looks any more
 * assertEquals(sum.total(), { bytes: 5 });
 * ```
 */
export class LiveSum<Counters extends NumericRecord<Counters>> {
  readonly #zero: () => Counters;
  readonly #ended: Counters;
  readonly #live = new Set<() => Readonly<Counters>>();

  /** @param zero Makes counters that are all 0 */
  constructor(zero: () => Counters) {
    this.#zero = zero;
    this.#ended = zero();
  }

  /** Adds something that counts; the result, called at its end, keeps what it has counted by then. */
  add(read: () => Readonly<Counters>): () => void {
    this.#live.add(read);
    return () => {
      if (this.#live.delete(read)) addCounters(this.#ended, read());
    };
  }

  /** The sum as it is now. */
  total(): Counters {
    const total = this.#zero();
    addCounters(total, this.#ended);
    for (const read of this.#live) addCounters(total, read());
    return total;
  }
}
