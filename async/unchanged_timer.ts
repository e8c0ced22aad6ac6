// Stillness: how long a counter has not moved.

/** A time that starts over whenever a counter moves. */
export class Stillness {
  #count = -1;
  #sinceMs = 0;

  /** How long `count` has been the same, in ms. */
  lastedMs(count: number, nowMs: number): number {
    if (count !== this.#count) {
      this.#count = count;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }
}
