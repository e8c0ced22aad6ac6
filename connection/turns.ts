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
  /**
   * Whether it still has to be done at the end of the turn and not before: more may come that goes
   * with it.
   */
  readonly needsTurnEnd: boolean;
  /** The turn is over, or nothing that ends with it needs its end any more. */
  onTurnEnd(): void;
}

/**
 * Runs of the microtask queue until the ends of a turn are looked at, and so many times twice as
 * many later. After two, a handler that answers and asks for the next message has had its answer
 * written.
 */
const FIRST_LOOK = 2;

/** Runs after which the end of the turn is waited for: it costs a callback of the platform. */
const LAST_LOOK = 8;

/** What has something to do at the end of this turn: one callback for all of it. */
let ending: TurnEnd[] = [];

/** Runs of the microtask queue since the first of `ending` came, and after which to look. */
let runs = 0;
let lookAt = FIRST_LOOK;

/** When the callback under way began, in ms; `null` until it was asked for. */
let nowMs: number | null = null;

/** When the reads that end together ended, in ms; `null` until it was asked for. */
let readAtMs: number | null = null;

const RESOLVED: Promise<void> = Promise.resolve();

/**
 * Calls `item.onTurnEnd` at the end of this turn of the event loop, or before, once no item needs
 * the end.
 */
export function atTurnEnd(item: TurnEnd): void {
  if (ending.push(item) > 1) return;
  runs = 0;
  lookAt = FIRST_LOOK;
  void RESOLVED.then(look);
}

/** The time by the clock that does not go back, in ms, read once for all that end a turn together. */
export function turnNowMs(): number {
  return nowMs ??= performance.now();
}

/** The same, read once for all reads whose results come together: the clock is dear. */
export function readNowMs(): number {
  if (readAtMs !== null) return readAtMs;
  void RESOLVED.then(forgetRead);
  return readAtMs = performance.now();
}

function forgetRead(): void {
  readAtMs = null;
}

function look(): void {
  runs++;
  if (runs < lookAt) return void RESOLVED.then(look);
  lookAt *= 2;
  if (!ending.some(needsEnd)) return endAll();
  if (runs < LAST_LOOK) void RESOLVED.then(look);
  else setImmediate(endTurn);
}

function needsEnd(item: TurnEnd): boolean {
  return item.needsTurnEnd;
}

function endTurn(): void {
  countTurn();
  endAll();
}

function endAll(): void {
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
