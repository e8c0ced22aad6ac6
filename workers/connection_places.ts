// ConnectionPlaces: the connections of all workers together, in memory that all threads share.
import type { SharedConnections } from "../limits/admission.ts";

/** Cells of the memory. */
const ADMITTED = 0;
const OPEN = 1;
const PEAK = 2;
const CELLS = 3;

/**
 * Counts connections over all workers, so that `maxConnections` holds for them together: kernels
 * spread connections unevenly, and a full worker beside an empty one must refuse no client. Each
 * worker has one of these; all methods may be called at any moment, in any thread.
 */
export class ConnectionPlaces implements SharedConnections {
  readonly #all: Int32Array<SharedArrayBuffer>;
  /** Those of one worker. */
  readonly #own: Int32Array<SharedArrayBuffer>;

  /** Counts in `all` what all workers have, and in `own` what one of them has. */
  constructor(all: SharedArrayBuffer, own: SharedArrayBuffer) {
    this.#all = new Int32Array(all);
    this.#own = new Int32Array(own);
  }

  /** Makes memory for the counts of all workers, or of one. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT);
  }

  /** Connections that all workers have let in now, those included whose handshake has not finished. */
  get current(): number {
    return Atomics.load(this.#all, ADMITTED);
  }

  /** Most connections that were open at a time, over all workers. */
  get peak(): number {
    return Atomics.load(this.#all, PEAK);
  }

  /** Connections that this worker has let in now. */
  get own(): number {
    return Atomics.load(this.#own, ADMITTED);
  }

  tryAdd(most: number): boolean {
    for (let before = this.current; before < most;) {
      const found = Atomics.compareExchange(this.#all, ADMITTED, before, before + 1);
      if (found === before) {
        Atomics.add(this.#own, ADMITTED, 1);
        return true;
      }
      before = found;
    }
    return false;
  }

  subtract(): void {
    Atomics.sub(this.#own, ADMITTED, 1);
    Atomics.sub(this.#all, ADMITTED, 1);
  }

  /** Counts a connection that was set up. */
  opened(): void {
    Atomics.add(this.#own, OPEN, 1);
    const open = Atomics.add(this.#all, OPEN, 1) + 1;
    for (let peak = this.peak; peak < open;) {
      const found = Atomics.compareExchange(this.#all, PEAK, peak, open);
      if (found === peak) return;
      peak = found;
    }
  }

  /** Counts a connection that has ended. */
  closed(): void {
    Atomics.sub(this.#own, OPEN, 1);
    Atomics.sub(this.#all, OPEN, 1);
  }

  /** Frees what a worker still held whose thread has ended. */
  release(): void {
    for (const cell of [ADMITTED, OPEN]) {
      Atomics.sub(this.#all, cell, Atomics.exchange(this.#own, cell, 0));
    }
  }
}
