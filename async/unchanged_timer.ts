// UnchangedTimer: how long a counter has not moved.

/** A time that starts over whenever a counter moves. */
export class UnchangedTimer {
  #count = -1;
  #sinceMs = 0;

  /** Returns for how long `count` has been the same, in ms. */
  unchangedMs(count: number, nowMs: number): number {
    if (count !== this.#count) {
      this.#count = count;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }
}
