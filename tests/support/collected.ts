// Collected: counts the objects that the garbage collector has taken, to find those that something
// holds on to.
import { collectGarbage } from "./peers/garbage.ts";

/** How often at most the collector is run: some objects hold others until the next time. */
const MAX_ROUNDS = 20;

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
      // Not left to pressure: V8 makes old objects at once where those before lived long, and then
      // looks at them no more for as long as there is memory.
      collectGarbage();
      // Its callbacks come in a turn of their own.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.count;
  }
}
