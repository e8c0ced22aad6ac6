// WaitingRoom: holds connections back whose source has too many handshakes under way.
import { pause } from "../async/pause.ts";

/** Most connections that wait at a time. Each holds a descriptor. */
const MAX_WAITING = 128;

/** Most connections of one source that wait: half, so that a source leaves room for others. */
const MAX_PER_SOURCE = 64;

/** Longest wait before asking again, in ms. A place may be free sooner than was expected. */
const MAX_PAUSE_MS = 50;

/**
 * Decides on a connection again. Returns the wait before the next time in ms, 0 after a decision.
 */
export type AskAgain = () => number;

/**
 * Holds connections back while the accept loop goes on, so that other sources are admitted. The
 * deadline of a connection that waits does not run: its handshake has not begun. Connections wait
 * side by side.
 */
export class WaitingRoom {
  readonly #signal: AbortSignal;
  readonly #wait: typeof pause;
  readonly #sources = new Map<string | null, number>();
  #size = 0;

  /** Refuses all that wait when `signal` aborts. `wait` waits in place of timers, for tests. */
  constructor(signal: AbortSignal, wait: typeof pause = pause) {
    this.#signal = signal;
    this.#wait = wait;
  }

  /** Whether one more of this source may wait. */
  hasRoomFor(source: string | null): boolean {
    return this.#size < MAX_WAITING && (this.#sources.get(source) ?? 0) < MAX_PER_SOURCE;
  }

  /**
   * Asks again until there is a decision. Calls `refuse` when the server stops before that. Never
   * rejects.
   */
  async hold(
    source: string | null,
    waitMs: number,
    askAgain: AskAgain,
    refuse: () => void,
  ): Promise<void> {
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
