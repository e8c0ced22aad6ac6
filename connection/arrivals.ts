// Arrivals: finds the moment at which a draining connection has read what had arrived.
import { type Clock, systemClock } from "../async/clock.ts";
import { afterTurns } from "./turns.ts";

/**
 * A read that waits for longer than this, in ms, has nothing to read: everything that had arrived
 * is here. Longer than a network's way to a neighbour and back, so that a question that was on its
 * way is still heard; short enough for a drain to be quick.
 */
const QUIET_MS = 20;

/**
 * Turns of the event loop that such a read waits besides. While turns are full the platform looks
 * for new bytes only every 61 turns: a thread that was busy all the time has not looked.
 */
const QUIET_TURNS = 130;

/**
 * A chunk below this size, in bytes, is all that was there to be read: reads have room for as much
 * at least.
 */
const SMALL_BYTES = 4096;

/**
 * Time in ms that reads may wait, all together, for a peer that is never quiet, and of which all
 * was read that had arrived.
 */
const MAX_WAIT_MS = 200;

/** The same, for a peer that sends so much that this cannot be known. */
const MAX_FLOOD_WAIT_MS = 1000;

/**
 * Bytes after which all was read that had arrived: kernels hold 6 MiB for a connection at most,
 * unless they are set to hold more.
 */
const MAX_ARRIVED_BYTES = 8 * 2 ** 20;

/**
 * Watches the reads of one connection from the beginning of its drain on. Not for concurrent use:
 * one read at a time.
 */
export class Arrivals {
  readonly #onOver: (isAll: boolean) => void;
  readonly #clock: Clock;
  #over = false;
  #bytes = 0;
  #waitedMs = 0;
  #waitsFromMs = 0;
  #cancel: () => void = () => {};

  /**
   * `onOver` is called once: with `true` when all that had arrived was read, with `false` when
   * there may be more.
   */
  constructor(onOver: (isAll: boolean) => void, clock: Clock = systemClock) {
    this.#onOver = onOver;
    this.#clock = clock;
  }

  /** A read has begun. */
  waits(): void {
    if (this.#over) return;
    this.#waitsFromMs = this.#clock.now();
    this.#cancel = this.#clock.after(QUIET_MS, () => {
      this.#cancel = afterTurns(QUIET_TURNS, () => this.#end(true));
    });
  }

  /** The read returned a chunk, which is kept. */
  came(bytes: number): void {
    if (this.#over) return;
    this.#cancel();
    this.#waitedMs += this.#clock.now() - this.#waitsFromMs;
    this.#bytes += bytes;
    if (this.#waitedMs >= MAX_WAIT_MS && bytes < SMALL_BYTES || this.#bytes >= MAX_ARRIVED_BYTES) {
      this.#end(true);
    } else if (this.#waitedMs >= MAX_FLOOD_WAIT_MS) this.#end(false);
  }

  /** Nothing more is read. */
  stop(): void {
    this.#over = true;
    this.#cancel();
  }

  #end(isAll: boolean): void {
    this.stop();
    this.#onOver(isAll);
  }
}
