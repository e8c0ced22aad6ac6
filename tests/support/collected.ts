// Collected: counts the objects that the garbage collector has taken, to find those that something
// holds on to.

/** Memory that is made and dropped so that the collector looks, in bytes. */
const PRESSURE_BYTES = 20 * 2 ** 20;

/** How often at most. */
const MAX_ROUNDS = 400;

/** Objects that are watched. */
export class Collected {
  readonly #registry = new FinalizationRegistry<void>(() => this.count++);
  /** How many have been collected. */
  count = 0;

  /** Watches an object, without holding on to it. */
  watch(object: WeakKey): void {
    this.#registry.register(object, undefined);
  }

  /**
   * Waits until so many have been collected, or the collector has had every chance; returns how
   * many were.
   */
  async reached(wanted: number): Promise<number> {
    for (let round = 0; round < MAX_ROUNDS && this.count < wanted; round++) {
      new Uint8Array(PRESSURE_BYTES).fill(round);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.count;
  }
}
