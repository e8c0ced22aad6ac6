// ClosingTimer: a timer that is made only for a wait that lasts: most closes end within a few turns.
import { atTurnEnd, type TurnEnd } from "./turns.ts";

/**
 * Turns of the event loop for which a wait goes without a timer of the platform. A peer that has
 * left first needs two, and a timer for each of its connections costs a tenth of all that they cost.
 */
const TURNS = 4;

/** Calls back once, after its time and a few turns of the event loop, unless it is cancelled before. */
export class ClosingTimer implements TurnEnd {
  readonly #delayMs: number;
  readonly #onTime: () => void;
  #turns = 0;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Begins the wait. `onTime` must not throw. */
  constructor(delayMs: number, onTime: () => void) {
    this.#delayMs = delayMs;
    this.#onTime = onTime;
    atTurnEnd(this);
  }

  /** Whether turns of the event loop are waited for. */
  get needsTurnEnd(): boolean {
    return !this.#isOver;
  }

  /** A turn is over. */
  onTurnEnd(): void {
    if (this.#isOver) return;
    if (++this.#turns < TURNS) atTurnEnd(this);
    else this.#timer = setTimeout(this.#onTime, this.#delayMs);
  }

  /** Ends the wait. Idempotent. */
  cancel(): void {
    this.#isOver = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }
}
