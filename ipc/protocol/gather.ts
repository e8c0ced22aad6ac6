// Gather: joins the parts of one unit of known length, in memory that grows with what has come.

/** Most that is allocated for a unit before as much of it has come. */
const FIRST_BYTES = 64 * 1024;

const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * Collects a unit whose announced length is not believed yet: a peer that announces a megabyte and
 * sends ten bytes costs 64 KiB at most. Each byte is copied once, at most one and a third times for
 * units over 64 KiB.
 */
export class Gather {
  #buffer: Uint8Array = EMPTY;
  #length = 0;
  #held = 0;

  /** Bytes held of the unit. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Whether all of the unit is here. */
  get complete(): boolean {
    return this.#held === this.#length;
  }

  /** Begins a unit of `length` bytes. */
  start(length: number): void {
    this.#length = length;
    this.#held = 0;
  }

  /**
   * Takes what belongs to the unit from `chunk`, beginning at `at`; returns where the rest starts.
   */
  add(chunk: Uint8Array, at: number): number {
    const count = Math.min(chunk.length - at, this.#length - this.#held);
    const held = this.#held + count;
    if (held > this.#buffer.length) {
      const grown = new Uint8Array(Math.min(this.#length, Math.max(FIRST_BYTES, held * 4)));
      grown.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = grown;
    }
    this.#buffer.set(chunk.subarray(at, at + count), this.#held);
    this.#held = held;
    return at + count;
  }

  /** The unit, which now belongs to the caller. */
  take(): Uint8Array {
    const unit = this.#length === 0 ? new Uint8Array(0) : this.#buffer;
    this.#buffer = EMPTY;
    this.#length = 0;
    this.#held = 0;
    return unit;
  }
}
