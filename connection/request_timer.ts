// RequestTimer: takes the time from a message's arrival to what its handler sends next, or to its return.
import type { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { atTurnEnd, readNowMs, turnNowMs } from "./turns.ts";
import type { MessageObserver } from "./types.ts";

/** Reads, and waits without an answer, that are counted apart; older ones are joined. */
const MAX_APART = 32;

/** What was read by then, and when. */
interface Arrival {
  endBytes: number;
  readonly atMs: number;
}

/** Messages that came at one moment, or at moments that were joined. */
interface Batch {
  atMs: number;
  count: number;
}

/** The lists of all timers that have nothing to list: most of many connections are idle. */
const NONE: never[] = [];

/**
 * Times the requests of one connection. A message counts when the handler sends something after it was handed
 * out; what is handed out and not answered when the handler returns counts then, unless the handler has
 * waited for more since: that was a message that wants no answer.
 *
 * The clock is read once for each read and once for each turn of the event loop in which something was sent,
 * not for each message: what is sent goes out at the end of a turn anyway.
 *
 * Not for concurrent use: its connection calls it in the order of events.
 */
export class RequestTimer implements MessageObserver {
  readonly #histogram: DurationHistogram;
  /** The read of which messages are handed out now: the bytes by its end, and when it was. */
  #endBytes = 0;
  #atMs = 0;
  /** Reads after that one, the oldest first. */
  #later: Arrival[] = NONE;
  /** Bytes that were handed out. */
  #takenBytes = 0;
  /** Handed out and not answered, without those of `#openAtMs`; the oldest first. */
  #older: Batch[] = NONE;
  /** How many of `#older` the handler left to wait for more. */
  #left = 0;
  #openAtMs = 0;
  #openCount = 0;
  /** Answered in this turn: those that came last, and the others. */
  #dueAtMs = 0;
  #dueCount = 0;
  #dueOlder: Batch[] = NONE;
  /** Whether requests and answers are reported one by one, because answers come in any order. */
  #isTold = false;
  /** The last error of a wait for a message whose time was over. */
  lastTimeout: unknown;

  constructor(histogram: DurationHistogram) {
    this.#histogram = histogram;
  }

  arrived(endBytes: number): void {
    const later = this.#later;
    if (this.#takenBytes >= this.#endBytes && later.length === 0) {
      this.#endBytes = endBytes;
      this.#atMs = readNowMs();
    } else if (later.length === 0) this.#later = [{ endBytes, atMs: readNowMs() }];
    else if (later.length < MAX_APART) later.push({ endBytes, atMs: readNowMs() });
    else later[MAX_APART - 1]!.endBytes = endBytes;
  }

  taken(decodedBytes: number, count = 1): void {
    this.#takenBytes = decodedBytes;
    while (decodedBytes > this.#endBytes && this.#later.length > 0) {
      const next = this.#later.shift()!;
      this.#endBytes = next.endBytes;
      this.#atMs = next.atMs;
    }
    if (this.#isTold) return;
    if (this.#openAtMs !== this.#atMs) {
      if (this.#openCount > 0) this.#putAside();
      this.#openAtMs = this.#atMs;
    }
    this.#openCount += count;
  }

  waits(): void {
    if (this.#openCount > 0) this.#putAside();
    this.#left = this.#older.length;
  }

  sent(): void {
    const isPlain = this.#older.length === 0;
    if (this.#openCount === 0 && isPlain) return;
    if (isPlain && this.#dueCount > 0 && this.#dueAtMs === this.#openAtMs) {
      this.#dueCount += this.#openCount;
    } else this.#moveToDue();
    this.#openCount = 0;
  }

  timedOut(error: unknown): void {
    this.lastTimeout = error;
  }

  tellsApart(): void {
    this.#isTold = true;
    this.#openCount = 0;
    this.#older = NONE;
    this.#left = 0;
  }

  requested(): number {
    return this.#atMs;
  }

  answered(atMs: number): void {
    const due = this.#dueOlder;
    if (this.#dueCount === 0 && due.length === 0) atTurnEnd(this);
    const last = due.at(-1);
    if (last?.atMs === atMs) last.count++;
    else this.#addDue({ atMs, count: 1 });
  }

  /** The handler has returned, or thrown: what it has not answered and not left counts as done. */
  returned(): void {
    this.#older.splice(0, this.#left);
    this.#left = 0;
    this.sent();
  }

  /** What was answered may be counted before the end of the turn. */
  get needsTurnEnd(): boolean {
    return false;
  }

  /** Counts what was answered in the turn that is over. */
  onTurnEnd(): void {
    const nowMs = turnNowMs();
    // To empty an empty array costs more than to look.
    if (this.#dueOlder.length > 0) this.#countOlder(nowMs);
    if (this.#dueCount > 0) this.#histogram.add(Math.max(0, nowMs - this.#dueAtMs), this.#dueCount);
    this.#dueCount = 0;
  }

  #countOlder(nowMs: number): void {
    for (const { atMs, count } of this.#dueOlder) {
      this.#histogram.add(Math.max(0, nowMs - atMs), count);
    }
    this.#dueOlder = NONE;
  }

  #moveToDue(): void {
    const due = this.#dueOlder;
    if (this.#dueCount === 0 && due.length === 0) atTurnEnd(this);
    // The older ones become due as they are: mostly none is yet.
    if (due.length === 0) this.#dueOlder = this.#older;
    else due.push(...this.#older);
    this.#older = NONE;
    this.#left = 0;
    if (this.#openCount === 0) return;
    if (this.#dueCount > 0) this.#addDue({ atMs: this.#dueAtMs, count: this.#dueCount });
    this.#dueAtMs = this.#openAtMs;
    this.#dueCount = this.#openCount;
  }

  #addDue(batch: Batch): void {
    if (this.#dueOlder.length === 0) this.#dueOlder = [batch];
    else this.#dueOlder.push(batch);
  }

  #putAside(): void {
    const older = this.#older;
    const batch = { atMs: this.#openAtMs, count: this.#openCount };
    this.#openCount = 0;
    if (older.length === 0) {
      this.#older = [batch];
      return;
    }
    older.push(batch);
    if (older.length <= MAX_APART) return;
    // The two oldest become one, whose time is the mean: number and sum stay what they are.
    const [first, second] = older as [Batch, Batch];
    const count = first.count + second.count;
    second.atMs = (first.atMs * first.count + second.atMs * second.count) / count;
    second.count = count;
    older.shift();
    this.#left = Math.max(0, this.#left - 1);
  }
}
