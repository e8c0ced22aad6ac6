// WaitingRoom: connections whose source has too many handshakes under way, until one of those has finished.
import { pause } from "../async/pause.ts";

/** Connections that wait at a time: each holds a descriptor, as those do that were not accepted yet. */
const MAX_WAITING = 128;

/** Connections of one source among them: half, so that one source leaves room for others. */
const MAX_PER_SOURCE = 64;

/** How long to wait at most before asking again, in ms: a place may be free sooner than was said. */
const MAX_PAUSE_MS = 50;

/** Decides on a connection again; returns ms to wait before the next time, 0 when it was let in or refused. */
export type AskAgain = () => number;

/**
 * Holds connections back, off the accept loop: other sources are let in meanwhile. A client that waits has noticed nothing yet: its
 * handshake has not begun, and its time does not run.
 */
export class WaitingRoom {
  readonly #signal: AbortSignal;
  readonly #wait: typeof pause;
  readonly #sources = new Map<string | null, number>();
  #size = 0;

  /** `signal` refuses all that wait; `wait` is how time passes. */
  constructor(signal: AbortSignal, wait: typeof pause = pause) {
    this.#signal = signal;
    this.#wait = wait;
  }

  /** Whether one more of this source may wait. */
  hasRoomFor(source: string | null): boolean {
    return this.#size < MAX_WAITING && (this.#sources.get(source) ?? 0) < MAX_PER_SOURCE;
  }

  /** Asks again and again until there is an answer; calls `refuse` when the server stops before. Never rejects. */
  async hold(source: string | null, waitMs: number, askAgain: AskAgain, refuse: () => void): Promise<void> {
    this.#count(source, 1);
    for (let ms = waitMs; ms > 0;) {
      await this.#wait(Math.min(MAX_PAUSE_MS, Math.max(1, ms)), this.#signal);
      if (this.#signal.aborted) {
        refuse();
        break;
      }
      ms = askAgain();
    }
    this.#count(source, -1);
  }

  #count(source: string | null, change: number): void {
    this.#size += change;
    const left = (this.#sources.get(source) ?? 0) + change;
    if (left === 0) this.#sources.delete(source);
    else this.#sources.set(source, left);
  }
}
