// Answering: queries of the other side, run by the user's handler, a bounded number at a time.
import { checkFunction } from "../limits/check.ts";
import { FramingError, RemoteError } from "../errors.ts";
import { telemetryOn } from "../stats/telemetry.ts";
import type { TraceParts } from "../stats/trace_context.ts";
import { failureData } from "./asked.ts";
import { Fifo } from "./fifo.ts";
import type { LinkTelemetry } from "./link_telemetry.ts";
import { FrameKind } from "./message.ts";
import { QueryTimes } from "./query_times.ts";

/** What a handler of queries may return: an empty answer is an answer. */
export type IpcAnswer = Uint8Array | string | void;

/** How the answering half works with its link. */
export interface AnsweringOptions {
  /** The user's handler; without one every query fails with `ERR_NO_HANDLER`. */
  readonly handler: ((data: Uint8Array) => IpcAnswer | Promise<IpcAnswer>) | undefined;
  /** Handlers that run at a time; other queries wait. */
  readonly maxRunning: number;
  /** Bytes of waiting queries from which on no more is received: more than an asker that keeps the rules ever has under way. */
  readonly highWaterBytes: number;
  /** Bytes that the asker accepts in an answer. */
  readonly maxAnswerBytes: number;
  /** Whether answers would only pile up now. */
  readonly isOutboxFull: () => boolean;
  /** Sends an answer. */
  readonly send: (kind: FrameKind, id: number, data: Uint8Array) => void;
  /** Told when the handler threw. */
  readonly onError: (error: unknown) => void;
  /** Where handlers are measured. */
  readonly telemetry: LinkTelemetry;
  /** Called when a query was done. */
  readonly onDone: () => void;
}

const EMPTY: Uint8Array = new Uint8Array(0);
const NO_HANDLER = new RemoteError("ERR_NO_HANDLER", "There is no handler for queries");
const CLOSING = new RemoteError("ERR_GOING_AWAY", "This side closes");

/** The answering half of a link. */
export class Answering {
  /** How long answers take. */
  readonly times: QueryTimes = new QueryTimes();
  readonly #options: AnsweringOptions;
  readonly #waiting = new Fifo<{ id: number; data: Uint8Array; parent: TraceParts | undefined }>();
  #waitingBytes = 0;
  #running = 0;
  #refusing = false;
  #ended = false;

  /** Makes it; checks the handler. */
  constructor(options: AnsweringOptions) {
    if (options.handler !== undefined) checkFunction("Cannot answer", "onQuery", options.handler);
    const send: AnsweringOptions["send"] = (kind, id, data) => {
      this.times.answered(id);
      options.send(kind, id, data);
    };
    this.#options = { ...options, send };
  }

  /** Queries that are not answered yet. */
  get size(): number {
    return this.#running + this.#waiting.size;
  }

  /** Whether no more should be received for now. */
  get full(): boolean {
    return this.#waitingBytes >= this.#options.highWaterBytes;
  }

  /** Takes a query, and what the asker says is its place in a trace. */
  take(id: number, data: Uint8Array, parent?: TraceParts): void {
    this.times.came(id);
    if (this.#waiting.size === 0 && this.#hasRoom()) return this.#run(id, data, parent);
    this.#waiting.push({ id, data, parent });
    this.#waitingBytes += data.length + 64;
  }

  /** Runs what waits, as far as there is room. */
  resume(): void {
    while (this.#waiting.size > 0 && this.#hasRoom()) {
      const { id, data, parent } = this.#waiting.shift()!;
      this.#waitingBytes -= data.length + 64;
      this.#run(id, data, parent);
    }
  }

  /** Refuses queries that come from now on. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Drops what waits; answers that come later go nowhere. */
  end(): void {
    this.#ended = true;
    this.#waiting.clear();
    this.#waitingBytes = 0;
  }

  #hasRoom(): boolean {
    return !this.#ended && this.#running < this.#options.maxRunning && !this.#options.isOutboxFull();
  }

  #run(id: number, data: Uint8Array, parent: TraceParts | undefined): void {
    const { handler, send, telemetry } = this.#options;
    if (this.#refusing) return send(FrameKind.failure, id, failureData(CLOSING));
    if (handler === undefined) return send(FrameKind.failure, id, failureData(NO_HANDLER));
    let answer: IpcAnswer | Promise<IpcAnswer>;
    try {
      answer = telemetryOn() ? telemetry.answer(parent, () => handler(data)) : handler(data);
    } catch (error) {
      this.#failed(id, error);
      return;
    }
    if (!(answer instanceof Promise)) return this.#answer(id, answer);
    this.#running++;
    answer.then((value) => {
      this.#running--;
      this.#answer(id, value);
    }, (error) => {
      this.#running--;
      this.#failed(id, error);
    }).then(() => this.resume());
  }

  #answer(id: number, value: IpcAnswer): void {
    if (this.#ended) return;
    const data = typeof value === "string" ? new TextEncoder().encode(value) : value ?? EMPTY;
    const error = refuseAnswer(data, this.#options.maxAnswerBytes);
    if (error !== null) return this.#failed(id, error);
    this.#options.send(FrameKind.answer, id, data);
    this.#options.onDone();
  }

  #failed(id: number, error: unknown): void {
    if (this.#ended) return;
    this.#options.send(FrameKind.failure, id, failureData(error));
    this.#options.onError(error);
    this.#options.onDone();
  }
}

function refuseAnswer(data: unknown, maxBytes: number): Error | null {
  if (!(data instanceof Uint8Array)) {
    return new TypeError(
      `Cannot answer as the handler must give a Uint8Array, a text or nothing: it gave ${typeof data}`,
    );
  }
  if (data.length <= maxBytes) return null;
  return new FramingError(
    "ERR_FRAME_TOO_LARGE",
    `Cannot answer as the other side takes at most ${maxBytes} bytes: the answer has ${data.length}`,
  );
}
