// Turns: how much may be done in one turn of the event loop, and what is known of when one begins.
import { setImmediate } from "node:timers";

/**
 * Turns that were seen to begin. Some are missed; within one turn it may grow by each callback that
 * counts it.
 */
let turns = 0;

/** Notes that a turn has begun: for callbacks of `setImmediate`. */
export function countTurn(): void {
  turns++;
}

/** What has something to do when a turn is over. */
export interface TurnEnd {
  /** The turn is over. */
  onTurnEnd(): void;
}

/** What has something to do at the end of this turn: one callback for all of it. */
let ending: TurnEnd[] = [];

/** When the callback under way began, in ms; `null` until it was asked for. */
let nowMs: number | null = null;

/** Calls `item.onTurnEnd` at the end of this turn of the event loop. */
export function atTurnEnd(item: TurnEnd): void {
  if (ending.push(item) === 1) setImmediate(endTurn);
}

/** The time by the clock that does not go back, in ms, read once for all that end a turn together. */
export function turnNowMs(): number {
  return nowMs ??= performance.now();
}

function endTurn(): void {
  countTurn();
  nowMs = null;
  const items = ending;
  ending = [];
  for (const item of items) item.onTurnEnd();
}

/** Callbacks of {@linkcode afterTurns} with the turns that each still waits. */
const waiting = new Map<() => void, number>();

/** Whether {@linkcode passTurn} will be called. */
let scheduled = false;

/**
 * Calls back after so many turns of the event loop; the result cancels that. Each callback is a
 * function of its own.
 */
export function afterTurns(count: number, callback: () => void): () => void {
  waiting.set(callback, count);
  schedule();
  return () => void waiting.delete(callback);
}

function schedule(): void {
  if (scheduled || waiting.size === 0) return;
  scheduled = true;
  setImmediate(passTurn);
}

function passTurn(): void {
  scheduled = false;
  countTurn();
  for (const [callback, left] of waiting) {
    if (left > 1) waiting.set(callback, left - 1);
    else {
      waiting.delete(callback);
      callback();
    }
  }
  schedule();
}

/**
 * What one user may do in a turn before others get theirs. A turn that another user saw beginning
 * counts as well: a user that waits between turns anyway need not be sent round once more.
 */
export class TurnQuota {
  readonly #most: number;
  #spent = 0;
  #turn = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether there is room for another in this turn. */
  get hasRoom(): boolean {
    if (this.#spent < this.#most) return true;
    this.renew();
    return this.#spent === 0;
  }

  /** How much there is room for, as far as it is known. */
  get left(): number {
    return this.#most - this.#spent;
  }

  /** Counts so many. */
  spend(count: number): void {
    this.#spent += count;
  }

  /** Begins anew if another turn is known to have begun. */
  renew(): void {
    if (this.#turn === turns) return;
    this.#turn = turns;
    this.#spent = 0;
  }
}
