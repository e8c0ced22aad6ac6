// IncomingQueries: queries of the other side, and their handlers, a bounded number at a time.
import { checkFunction } from "../../options/check.ts";
import { UnchangedTimer } from "../../async/unchanged_timer.ts";
import { ClosedError, FramingError, RemoteError } from "../../errors.ts";
import { telemetryOn } from "../../stats/telemetry/telemetry.ts";
import type { TraceParts } from "../../stats/telemetry/trace_context.ts";
import { failureData, isDeliberateFailure } from "./outgoing_queries.ts";
import { Fifo } from "../../collections/fifo.ts";
import { IdTable } from "../../collections/id_table.ts";
import { type CallSlot, isCallQuery } from "./call_slot.ts";
import { frameError } from "./link_errors.ts";
import type { LinkTelemetry } from "./telemetry.ts";
import { FrameKind, TAKES_CANCELS_TAG } from "../protocol/frames.ts";
import type { Outbox } from "./outbox.ts";
import { type IpcAnswer, type IpcQueryHandler, QueryContext } from "./query_context.ts";
import { QueryTimes } from "./query_times.ts";

/** Options of {@linkcode IncomingQueries}. */
export interface IncomingQueriesOptions {
  /** The user's handler; without one every query fails with `ERR_NO_HANDLER`. */
  readonly handler: IpcQueryHandler | undefined;
  /** Answers the queries that are calls, which the user's handler never sees. @default {none} */
  readonly calls?: CallSlot | undefined;
  /** Handlers that run at a time; other queries wait. */
  readonly maxRunning: number;
  /**
   * Bytes of waiting queries from which on no more is received. A caller that keeps the rules never
   * has that many under way.
   */
  readonly highWaterBytes: number;
  /** Bytes that the caller accepts in an answer. */
  readonly maxAnswerBytes: number;
  /** Where answers go, and the ping which says that we take cancel frames. */
  readonly outbox: Pick<Outbox, "full" | "queuedBytes" | "add">;
  /** Bytes in the outbox up to which an answer may join them. */
  readonly maxQueuedBytes: number;
  /** Reports what a handler threw. */
  readonly onError: (error: unknown) => void;
  /** Where handlers are measured. */
  readonly telemetry: LinkTelemetry;
  /** Called when a query was done. */
  readonly onDone: () => void;
}

const EMPTY: Uint8Array = new Uint8Array(0);
/** Bytes that a waiting query counts beside its data. */
const QUERY_COST_BYTES = 64;
/** Cancelled queries that may stay in the queue until it is made anew without them. */
const MAX_CANCELLED_WAITING = 32;
/**
 * Time in ms in which a caller reads no byte at all, after which finished answers are no longer
 * kept for it.
 */
const TAKES_NOTHING_MS = 1000;
const NO_HANDLER = new RemoteError("ERR_NO_HANDLER", "There is no handler for queries");
const CLOSING = new RemoteError("ERR_GOING_AWAY", "This side closes");
const CANCELLED = new RemoteError("ERR_CLOSED", "The caller gave up");
const NOT_TAKEN = new RemoteError(
  "ERR_QUEUE_FULL",
  'The answer was dropped because the other side reads nothing and "maxQueuedBytes" wait for it',
);

/** A query that waits for its turn. */
interface WaitingQuery {
  readonly id: number;
  readonly data: Uint8Array;
  readonly parent: TraceParts | undefined;
  isCancelled: boolean;
}

/** An answer that waits for room in the outbox. */
interface FinishedAnswer {
  readonly kind: FrameKind;
  readonly id: number;
  readonly data: Uint8Array;
}

/**
 * The answering half of a link. Handlers run concurrently, up to `maxRunning`.
 *
 * A query waits, runs, and may wait again, finished, for room in the outbox:
 * ```
 * take ─▶ waiting ─▶ running ─▶ finished ─▶ sent
 *            └─cancel──┴─cancel────┴─cancel or nothing is read──▶ failed
 * ```
 * Waiting queries are bounded in bytes (`full` stops the reading), running ones by `maxRunning`.
 * While the outbox is full no handler starts, so that finished answers are those of handlers that
 * ran already.
 */
export class IncomingQueries {
  /** How long answers take. */
  readonly times: QueryTimes = new QueryTimes();
  readonly #options: IncomingQueriesOptions;
  #waiting = new Fifo<WaitingQuery>();
  /** Waiting queries that can be cancelled, by id. */
  readonly #waitingById = new Map<number, WaitingQuery>();
  /** How many in `#waiting` were cancelled. */
  #cancelledWaiting = 0;
  #waitingBytes = 0;
  /**
   * Bytes that failures count which were sent while the outbox was full: a caller that reads none
   * of them must not go on.
   */
  #unreadBytes = 0;
  /** Handlers that run; those whose caller has gone count here, and are no longer in `#contexts`. */
  #running = 0;
  readonly #contexts = new IdTable<QueryContext>();
  /**
   * Answers that wait for room, in the order in which they were finished; a `Map` because they may
   * be cancelled.
   */
  readonly #finished = new Map<number, FinishedAnswer>();
  #finishedBytes = 0;
  readonly #taking = new UnchangedTimer();
  /** Whether the caller has read no byte for {@linkcode TAKES_NOTHING_MS}. */
  #takesNothing = false;
  #hasAnnounced = false;
  #refusing = false;
  #ended = false;

  /** Begins without queries; checks the handler. */
  constructor(options: IncomingQueriesOptions) {
    if (options.handler !== undefined) checkFunction("Cannot answer", "onQuery", options.handler);
    this.#options = options;
  }

  /** Queries that are not answered yet and whose caller still waits. */
  get size(): number {
    return this.#contexts.size + this.#waiting.size - this.#cancelledWaiting + this.#finished.size;
  }

  /** Bytes of answers that wait for room in the outbox. */
  get finishedBytes(): number {
    return this.#finishedBytes;
  }

  /** Whether no more should be received for now. */
  get full(): boolean {
    return this.#waitingBytes + this.#unreadBytes >= this.#options.highWaterBytes;
  }

  /** Takes a query, and what the caller says is its place in a trace. */
  take(id: number, data: Uint8Array, parent?: TraceParts): void {
    this.times.came(id);
    // A query that is refused is not held, because a side that closes reads on, however much comes.
    if (this.#refusing) return this.#failNow(id, CLOSING);
    if (this.#waiting.size === 0 && this.#hasRoom()) return this.#run(id, data, parent);
    const query: WaitingQuery = { id, data, parent, isCancelled: false };
    this.#waiting.push(query);
    this.#waitingById.set(id, query);
    this.#waitingBytes += data.length + QUERY_COST_BYTES;
    this.#announce();
  }

  /**
   * Takes a cancel frame: the caller of this query no longer waits. Each query has one answer, this
   * too: by it the caller knows that the place and the bytes of its query are free. A cancel frame
   * that crossed the answer changes nothing.
   */
  cancel(id: number): void {
    const reason = new ClosedError(
      "ERR_CLOSED",
      "Cannot answer the query: its caller no longer waits",
    );
    const context = this.#contexts.get(id);
    const waiting = this.#waitingById.get(id);
    const finished = this.#finished.get(id);
    if (context !== undefined) {
      this.#contexts.delete(id);
      context.giveUp(reason);
    } else if (waiting !== undefined) {
      this.#cancelWaiting(waiting);
    } else if (finished !== undefined) {
      this.#finished.delete(id);
      this.#finishedBytes -= finished.data.length;
    } else return;
    this.times.forget(id);
    this.#failNow(id, CANCELLED);
  }

  /** Sends finished answers and runs what waits, as far as there is room. */
  resume(): void {
    if (!this.#options.outbox.full) this.#unreadBytes = 0;
    for (const answer of this.#finished.values()) {
      if (!this.#hasRoomFor(answer.data)) break;
      this.#finished.delete(answer.id);
      this.#finishedBytes -= answer.data.length;
      this.#send(answer.kind, answer.id, answer.data);
      this.#options.onDone();
    }
    while (this.#waiting.size > 0 && this.#hasRoom()) {
      const query = this.#waiting.shift()!;
      if (query.isCancelled) {
        this.#cancelledWaiting--;
        continue;
      }
      if (this.#waitingById.get(query.id) === query) this.#waitingById.delete(query.id);
      this.#waitingBytes -= query.data.length + QUERY_COST_BYTES;
      this.#run(query.id, query.data, query.parent);
    }
  }

  /**
   * Compares with the time. For a caller that reads nothing, no more is kept than the outbox may
   * hold.
   */
  tick(nowMs: number, writtenBytes: number): void {
    const isFull = this.#options.outbox.full;
    const stillMs = this.#taking.unchangedMs(isFull ? writtenBytes : -1, nowMs);
    this.#takesNothing = isFull && stillMs >= TAKES_NOTHING_MS;
    if (!this.#takesNothing || this.#finished.size === 0) return;
    const dropped = [...this.#finished.keys()];
    this.#finished.clear();
    this.#finishedBytes = 0;
    for (const id of dropped) this.#send(FrameKind.failure, id, failureData(NOT_TAKEN));
    this.#options.onDone();
  }

  /** Refuses queries that come after this call. */
  refuse(): void {
    this.#refusing = true;
  }

  /**
   * Drops waiting queries and aborts the signals of running handlers. Answers that come later are
   * dropped.
   */
  end(reason: Error): void {
    this.#ended = true;
    this.#waiting.clear();
    this.#waitingById.clear();
    this.#cancelledWaiting = 0;
    this.#waitingBytes = 0;
    this.#unreadBytes = 0;
    this.#finished.clear();
    this.#finishedBytes = 0;
    const gone = reason instanceof ClosedError ? reason : new ClosedError(
      "ERR_CLOSED",
      "Cannot answer the query: the connection to its caller has ended",
      { cause: reason },
    );
    const contexts = this.#contexts.values();
    this.#contexts.clear();
    for (const context of contexts) context.giveUp(gone);
  }

  #hasRoom(): boolean {
    return !this.#ended && this.#running < this.#options.maxRunning && !this.#options.outbox.full;
  }

  /** Whether an answer may join what waits to be written. */
  #hasRoomFor(data: Uint8Array): boolean {
    const { outbox, maxQueuedBytes } = this.#options;
    return !outbox.full || outbox.queuedBytes + data.length <= maxQueuedBytes;
  }

  /** Sends an answer or a failure. */
  #send(kind: FrameKind, id: number, data: Uint8Array): void {
    this.times.answered(id);
    this.#options.outbox.add(kind, id, data);
  }

  /**
   * Announces once that this side takes cancel frames: when the first query is not answered at
   * once.
   */
  #announce(): void {
    const { calls, handler } = this.#options;
    const answers = handler !== undefined || calls?.answer !== undefined;
    if (this.#hasAnnounced || this.#refusing || this.#ended || !answers) return;
    this.#hasAnnounced = true;
    this.#options.outbox.add(FrameKind.ping, TAKES_CANCELS_TAG, EMPTY);
  }

  #cancelWaiting(query: WaitingQuery): void {
    this.#waitingById.delete(query.id);
    query.isCancelled = true;
    this.#waitingBytes -= query.data.length + QUERY_COST_BYTES;
    this.#cancelledWaiting++;
    if (this.#cancelledWaiting <= Math.max(MAX_CANCELLED_WAITING, this.#waiting.size / 2)) return;
    const waiting = new Fifo<WaitingQuery>();
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (!next.isCancelled) waiting.push(next);
    }
    this.#waiting = waiting;
    this.#cancelledWaiting = 0;
  }

  #run(id: number, data: Uint8Array, parent: TraceParts | undefined): void {
    const { calls, telemetry } = this.#options;
    const isCall = isCallQuery(data);
    const handler = isCall ? calls?.answer : this.#options.handler;
    if (this.#refusing || handler === undefined) {
      return this.#failNow(id, this.#refusing ? CLOSING : NO_HANDLER);
    }
    const context = new QueryContext(this.#options.maxAnswerBytes);
    let answer: IpcAnswer | Promise<IpcAnswer>;
    try {
      answer = telemetryOn() && !isCall // a call has spans of its own
        ? telemetry.answer(parent, () => handler(data, context))
        : handler(data, context);
    } catch (error) {
      this.#failed(id, error, context);
      return;
    }
    if (!(answer instanceof Promise)) return this.#answer(id, answer, context);
    this.#running++;
    this.#contexts.set(id, context);
    this.#announce();
    answer.then((value) => {
      this.#settled(id, context);
      this.#answer(id, value, context);
      this.resume();
    }, (error) => {
      this.#settled(id, context);
      this.#failed(id, error, context);
      this.resume();
    });
  }

  #settled(id: number, context: QueryContext): void {
    this.#running--;
    if (this.#contexts.get(id) === context) this.#contexts.delete(id);
  }

  /**
   * Fails a query of which nothing is held any more, whether there is room or not. It may be the
   * last that a close waits for.
   */
  #failNow(id: number, error: RemoteError): void {
    const { highWaterBytes, outbox, onDone } = this.#options;
    if (outbox.full) this.#unreadBytes += QUERY_COST_BYTES;
    // A side that does not close stops reading before that.
    if (this.#refusing && this.#unreadBytes > highWaterBytes) {
      throw frameError("Cannot refuse any more queries: none of the answers is read");
    }
    this.#send(FrameKind.failure, id, failureData(error));
    onDone();
  }

  #answer(id: number, value: IpcAnswer, context: QueryContext): void {
    if (this.#ended || context.gone !== null) return;
    const data = typeof value === "string" ? new TextEncoder().encode(value) : value ?? EMPTY;
    const error = refuseAnswer(data, this.#options.maxAnswerBytes);
    if (error !== null) return this.#failed(id, error, context);
    this.#sendOrKeep(FrameKind.answer, id, data, value);
  }

  #failed(id: number, error: unknown, context: QueryContext): void {
    if (!context.isOutcomeOf(error) && !isDeliberateFailure(error)) this.#options.onError(error);
    if (this.#ended || context.gone !== null) return;
    this.#sendOrKeep(FrameKind.failure, id, failureData(error), undefined);
  }

  /** Sends an answer, or keeps it until there is room. */
  #sendOrKeep(kind: FrameKind, id: number, data: Uint8Array, value: IpcAnswer): void {
    const { onDone } = this.#options;
    if (this.#finished.size > 0 || !this.#hasRoomFor(data)) {
      if (this.#takesNothing) {
        this.#send(FrameKind.failure, id, failureData(NOT_TAKEN));
        return onDone();
      }
      // The handler may use its buffer again, as it may when the answer is sent at once.
      this.#finishedBytes -= this.#finished.get(id)?.data.length ?? 0; // a peer that uses an id twice
      this.#finished.set(id, { kind, id, data: data === value ? data.slice() : data });
      this.#finishedBytes += data.length;
      return;
    }
    this.#send(kind, id, data);
    onDone();
  }
}

function refuseAnswer(data: unknown, maxBytes: number): Error | null {
  if (!(data instanceof Uint8Array)) {
    return new TypeError(
      `Cannot answer: the handler must return a Uint8Array, a text or nothing: it returned ${typeof data}`,
    );
  }
  if (data.length <= maxBytes) return null;
  return new FramingError(
    "ERR_FRAME_TOO_LARGE",
    `Cannot answer: the other side takes at most ${maxBytes} bytes: the answer has ${data.length}`,
  );
}
