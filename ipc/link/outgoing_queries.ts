// OutgoingQueries: queries of this side that wait for their answer, each with its time limit.
import { ParleyError, RemoteError, TimeoutError } from "../../errors.ts";
import { MAX_TIMER_MS } from "../../options/check.ts";
import { escapeForLog } from "../../log/text.ts";
import { Fifo } from "../../collections/fifo.ts";
import { IdTable } from "../../collections/id_table.ts";
import { FrameKind, MAX_TAG } from "../protocol/frames.ts";
import type { Outbox } from "./outbox.ts";

/** How a query may end early. */
export interface IpcQueryOptions {
  /**
   * Longest wait for the answer in ms; then `ERR_READ_TIMEOUT`.
   *
   * @default {`queryTimeoutMs`, 5000}
   */
  timeoutMs?: number | undefined;
  /** Ends the wait; it rejects with the signal's reason. The handler's own signal aborts then. */
  signal?: AbortSignal | undefined;
}

/** Makes of an answer, or of an error, what a query resolves or rejects with. */
export interface AnswerReader {
  /** Returns the value of an answer, or a promise of it; what it throws is what the query rejects with. */
  read(answer: Uint8Array): unknown;
  /** Returns what an error of the query means. */
  explain(error: unknown): unknown;
}

/** A query whose answer is what it is, and whose errors too. */
const AS_IT_IS: AnswerReader = { read: (answer) => answer, explain: (error) => error };

/** One query under way. */
interface Query {
  readonly id: number;
  /** What is asked; dropped once it is sent. */
  data: Uint8Array | null;
  /** Trace context to send with it. */
  readonly context: Uint8Array | undefined;
  readonly dataBytes: number;
  readonly timeoutMs: number;
  /** `Infinity` until the turn has ended in which it was asked. */
  deadlineMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly reader: AnswerReader;
  readonly signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
}

/** Options of {@linkcode OutgoingQueries}. */
export interface OutgoingQueriesOptions {
  /** Queries that are sent and not answered; others wait their turn. */
  readonly maxInFlight: number;
  /** Where queries and cancel frames go. Queries wait while it is full. */
  readonly outbox: Pick<Outbox, "full" | "add">;
  /** Called when the last query has settled. */
  readonly onIdle: () => void;
}

/**
 * Bytes of queries that are sent and not answered, but for one that is larger alone. The answering
 * side takes more than that before it stops to receive: two sides that ask each other a lot never
 * wait for each other in a circle.
 */
export const MAX_QUERY_BYTES_IN_FLIGHT: number = 4 * 1024 * 1024;

/**
 * Queries that were given up before they were sent and may stay in the queue until it is made anew
 * without them.
 */
const MAX_SETTLED_UNSENT = 32;

const NOTHING: Uint8Array = new Uint8Array(0);

/** A failed answer on the wire: a code, and a text that may be empty. */
const FAILURE_PATTERN = /^([A-Z][A-Z0-9_]{0,63})(?:: (.*))?$/s;

/** The asking half of a link. Any number of queries may be under way. */
export class OutgoingQueries {
  readonly #options: OutgoingQueriesOptions;
  readonly #sent = new IdTable<Query>();
  #unsent = new Fifo<Query>();
  /** Queries of `#unsent` that have not settled while they waited. */
  readonly #waiting = new Set<Query>();
  /**
   * Whether the other side takes cancel frames. Until then `#givenUp` keeps the queries that need
   * one.
   */
  #peerTakesCancels = false;
  /**
   * Queries that were given up and are not answered, the oldest first, until the other side takes
   * cancel frames.
   */
  readonly #givenUp = new Set<number>();
  /**
   * Bytes of queries that were cancelled and whose answer has not come: till then the other side
   * may still hold them.
   */
  readonly #cancelled = new Map<number, number>();
  /** Bytes of `#sent` and `#cancelled`. */
  #sentBytes = 0;
  #lastId = 0;
  #wrapped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;
  /** Queries that were asked in this turn: reading the clock for each would cost as much as to send it. */
  readonly #fresh: Query[] = [];

  /** Makes an empty table. */
  constructor(options: OutgoingQueriesOptions) {
    this.#options = options;
  }

  /** Queries that have not settled. */
  get size(): number {
    return this.#sent.size + this.#waiting.size;
  }

  /** Sends a query. The answer is a view that belongs to the caller. */
  ask(
    data: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
    context?: Uint8Array,
  ): Promise<Uint8Array> {
    const answer = this.askAndRead(data, timeoutMs, signal, AS_IT_IS, context);
    return answer as Promise<Uint8Array>;
  }

  /** Sends a query, and resolves with what `reader` makes of its answer. */
  askAndRead(
    data: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    reader: AnswerReader,
    context?: Uint8Array,
  ): Promise<unknown> {
    if (signal?.aborted) return Promise.reject(reader.explain(signal.reason));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const query: Query = {
      id: this.#nextId(),
      data,
      context,
      dataBytes: data.length,
      timeoutMs,
      deadlineMs: Infinity,
      resolve,
      reject,
      reader,
      signal,
      onAbort: undefined,
    };
    if (signal !== undefined) {
      query.onAbort = () => this.#giveUp(query, signal.reason);
      signal.addEventListener("abort", query.onAbort, { once: true });
    }
    if (timeoutMs !== Infinity && this.#fresh.push(query) === 1) queueMicrotask(this.#startTimes);
    if (this.#unsent.size > 0 || !this.#send(query)) {
      this.#unsent.push(query);
      this.#waiting.add(query);
    }
    return promise;
  }

  /** Sends waiting queries, as far as there is room. */
  resume(): void {
    for (let query = this.#unsent.peek(); query !== undefined; query = this.#unsent.peek()) {
      if (this.#waiting.has(query)) {
        if (!this.#send(query)) return;
        this.#waiting.delete(query);
      }
      this.#unsent.shift();
    }
  }

  /**
   * Takes an answer. One to a query that has settled meanwhile is dropped.
   *
   * @returns `false` for an answer to what was never asked
   */
  onAnswer(kind: FrameKind, id: number, data: Uint8Array): boolean {
    const query = this.#sent.get(id);
    this.#givenUp.delete(id);
    const cancelledBytes = this.#cancelled.get(id);
    if (cancelledBytes !== undefined) {
      this.#cancelled.delete(id);
      this.#sentBytes -= cancelledBytes;
      this.resume();
      return true;
    }
    if (query === undefined) return this.#wrapped || id >= 1 && id <= this.#lastId;
    this.#settle(query);
    if (kind === FrameKind.answer) settle(query, data);
    else query.reject(query.reader.explain(remoteError(data)));
    return true;
  }

  /**
   * The other side takes cancel frames: sends those for queries that were given up and not
   * answered.
   */
  peerTakesCancels(): void {
    this.#peerTakesCancels = true;
    for (const id of this.#givenUp) this.#sendCancel(id);
    this.#givenUp.clear();
  }

  /** Fails every query. */
  end(error: unknown): void {
    this.#givenUp.clear();
    this.#cancelled.clear();
    this.#unsent.clear(); // first: what settles makes room for what waits
    for (const query of [...this.#sent.values(), ...this.#waiting]) this.#fail(query, error);
    this.#fresh.length = 0;
    clearTimeout(this.#timer);
    this.#timerAtMs = Infinity;
  }

  #send(query: Query): boolean {
    const { maxInFlight, outbox } = this.#options;
    const tooMuch = this.#sentBytes > 0 &&
      this.#sentBytes + query.dataBytes > MAX_QUERY_BYTES_IN_FLIGHT;
    if (tooMuch || this.#sent.size + this.#cancelled.size >= maxInFlight) return false;
    if (outbox.full) return false;
    if (query.context !== undefined) outbox.add(FrameKind.context, query.id, query.context);
    outbox.add(FrameKind.query, query.id, query.data!);
    query.data = null;
    this.#sentBytes += query.dataBytes;
    this.#sent.set(query.id, query);
    return true;
  }

  /** Fails a query whose caller no longer waits, and says so to the other side if it has it. */
  #giveUp(query: Query, error: unknown): void {
    if (!this.#sent.has(query.id)) this.#dropSettled();
    else if (this.#peerTakesCancels) {
      this.#sendCancel(query.id);
      this.#cancelled.set(query.id, query.dataBytes);
      this.#sentBytes += query.dataBytes; // what settles takes it off
    } else {
      this.#givenUp.add(query.id);
      // A side of an older version never takes them: what is remembered is bounded.
      if (this.#givenUp.size > this.#options.maxInFlight) {
        this.#givenUp.delete(this.#givenUp.values().next().value!);
      }
    }
    this.#fail(query, error);
  }

  #sendCancel(id: number): void {
    this.#options.outbox.add(FrameKind.cancel, id, NOTHING);
  }

  /**
   * Makes the queue anew when most of it was given up: a caller that asks and gives up must not
   * fill it while nothing is sent.
   */
  #dropSettled(): void {
    if (this.#unsent.size <= 2 * this.#waiting.size + MAX_SETTLED_UNSENT) return;
    const unsent = new Fifo<Query>();
    for (const query of this.#waiting) unsent.push(query); // a set keeps the order in which they were asked
    this.#unsent = unsent;
  }

  #fail(query: Query, error: unknown): void {
    this.#settle(query);
    query.reject(query.reader.explain(error));
  }

  #settle(query: Query): void {
    if (this.#sent.delete(query.id)) this.#sentBytes -= query.dataBytes;
    this.#waiting.delete(query);
    query.data = null;
    if (query.onAbort !== undefined) query.signal?.removeEventListener("abort", query.onAbort);
    if (this.#unsent.size > 0) this.resume();
    // The timer stays: one for each query would cost more than the rest of it. It ends with the
    // link.
    if (this.size === 0) this.#options.onIdle();
  }

  #nextId(): number {
    do {
      if (this.#lastId === MAX_TAG) {
        this.#lastId = 0;
        this.#wrapped = true;
      }
      this.#lastId++;
    } while (this.#sent.has(this.#lastId) || this.#cancelled.has(this.#lastId));
    return this.#lastId;
  }

  #setTimer(atMs: number, delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      this.#onTimer,
      Math.min(Math.max(1, Math.ceil(delayMs)), MAX_TIMER_MS),
    );
  }

  /** Begins the time of the queries of a turn: nothing of them can have left before. */
  readonly #startTimes = (): void => {
    const nowMs = performance.now();
    let shortestMs = Infinity;
    for (const query of this.#fresh) {
      query.deadlineMs = nowMs + query.timeoutMs;
      shortestMs = Math.min(shortestMs, query.timeoutMs);
    }
    this.#fresh.length = 0;
    if (nowMs + shortestMs < this.#timerAtMs) this.#setTimer(nowMs + shortestMs, shortestMs);
  };

  /** Fails queries that are late, and waits for the next. */
  readonly #onTimer = (): void => {
    this.#timerAtMs = Infinity;
    const nowMs = performance.now();
    let nextMs = Infinity;
    for (const query of [...this.#sent.values(), ...this.#waiting]) {
      if (query.deadlineMs <= nowMs) this.#giveUp(query, queryTimeout(query.timeoutMs));
      else nextMs = Math.min(nextMs, query.deadlineMs);
    }
    if (nextMs < this.#timerAtMs) this.#setTimer(nextMs, nextMs - nowMs);
  };
}

/** Resolves a query with what its reader makes of the answer. */
function settle({ reader, resolve, reject }: Query, answer: Uint8Array): void {
  try {
    resolve(reader.read(answer));
  } catch (error) {
    reject(error);
  }
}

/** What a failed answer says. Its text is the peer's: escaped and cut. */
function remoteError(data: Uint8Array): RemoteError {
  const [, code = "ERR_HANDLER", text = ""] =
    FAILURE_PATTERN.exec(new TextDecoder().decode(data)) ?? [];
  return new RemoteError(
    code,
    text === "" ? "The other side could not answer" : escapeForLog(text),
  );
}

/**
 * Whether a handler throws this as its answer: a `RemoteError` with a code that can be sent. It is
 * no fault of the handler, so it is neither counted nor reported.
 */
export function isDeliberateFailure(error: unknown): error is RemoteError {
  return error instanceof RemoteError && FAILURE_PATTERN.test(`${error.code}: `);
}

/** The bytes of a failed answer. Only a deliberate failure says more than a fixed text. */
export function failureData(error: unknown): Uint8Array {
  const text = isDeliberateFailure(error)
    ? `${error.code}: ${error.message.slice(0, 256)}`
    : `${error instanceof ParleyError ? error.code : "ERR_HANDLER"}: The handler failed`;
  return new TextEncoder().encode(text).subarray(0, 1024);
}

function queryTimeout(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_READ_TIMEOUT",
    `Cannot answer the query: no answer came within ${timeoutMs} ms`,
  );
}
