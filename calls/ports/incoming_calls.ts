// IncomingCalls: the calls that come in on one connection, begun in their order, so many at a time.
import type { CallLink } from "./port.ts";
import { ClosedError } from "../../errors.ts";
import { badFrame, isAfter, MAX_OUTSTANDING } from "../protocol/call_frames.ts";
import type { CallTable, RequestSource } from "./call_table.ts";

/**
 * Handlers of one connection that run at a time; more requests wait for their turn. A handler that calls back
 * over the connection waits for the other side: each call that goes out makes place for another one, or both
 * sides could wait for each other.
 */
export const MAX_RUNNING = 256;

/** Bytes of requests that wait; above, the connection reads no more until some have begun. */
const MAX_WAITING_BYTES = 8 * 2 ** 20;

/** What {@linkcode IncomingCalls} needs of its connection. */
export interface CallReceiver extends Pick<RequestSource, "peer" | "via"> {
  /** Whether replies go out at once: else no handler is begun. */
  readonly hasRoom: boolean;
  /** Most bytes of a reply that the caller takes. */
  readonly maxReplyBytes: number;
  /** Calls of this side that wait for replies. */
  readonly callsOut: number;
  /** Sends a reply. */
  reply(id: number, reply: Uint8Array): void;
  /** A handler has ended, and what waited for it has begun. */
  onProgress(): void;
  /** A request is none. */
  fail(error: unknown): void;
}

/** A request whose handler runs. */
class RunningCall implements RequestSource {
  readonly peer: string | undefined;
  readonly via: CallLink;
  readonly maxReplyBytes: number;
  #controller: AbortController | undefined;
  #end: { readonly cause: unknown } | undefined;

  constructor({ peer, via, maxReplyBytes }: CallReceiver) {
    this.maxReplyBytes = maxReplyBytes;
    this.peer = peer;
    this.via = via;
  }

  get caller(): this {
    return this;
  }

  /** Aborts when the caller has given up, or is gone; made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#end !== undefined) this.#abort(this.#end.cause);
    }
    return this.#controller.signal;
  }

  /** The caller wants no reply any more: `null` because it has given up, else because it is gone. */
  cancel(cause: unknown): void {
    this.#end = { cause };
    if (this.#controller !== undefined) this.#abort(cause);
  }

  #abort(cause: unknown): void {
    this.#controller!.abort(
      cause === null
        ? new ClosedError("ERR_CLOSED", "The caller has given the call up")
        : new ClosedError("ERR_RESET", "The connection to the caller has ended", { cause }),
    );
  }
}

/**
 * The answering half of one connection. Everything may be called at any time.
 *
 * Requests are read on while handlers run, so that cancels and the replies to calls of this side
 * come through: handlers that call back would else wait for each other.
 */
export class IncomingCalls {
  readonly #receiver: CallReceiver;
  readonly #table: CallTable;
  /** Calls whose reply is awaited. */
  readonly #running = new Map<number, RunningCall>();
  /** Handlers that run, those of cancelled calls included: they cost as much. */
  #handlers = 0;
  readonly #waiting = new Map<number, Uint8Array>();
  #waitingBytes = 0;
  #hasEnded = false;
  /** Id of the last request that was read. */
  lastId = 0;

  constructor(receiver: CallReceiver, table: CallTable) {
    this.#receiver = receiver;
    this.#table = table;
  }

  /** Whether so much waits that the connection should not read on. */
  get isFull(): boolean {
    return this.#waitingBytes > MAX_WAITING_BYTES;
  }

  /** Whether requests wait for their turn. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Whether no handler runs and no request waits. */
  get isIdle(): boolean {
    return this.#handlers === 0 && this.#waiting.size === 0;
  }

  /** Handlers that run. */
  get handlers(): number {
    return this.#handlers;
  }

  /**
   * A request has come.
   *
   * @throws {ProtocolError} `ERR_CALL_FRAME` when it breaks the rules
   */
  onRequest(id: number, request: Uint8Array): void {
    if (!isAfter(id, this.lastId)) throw badFrame("the id of a request was used before");
    this.lastId = id;
    if (this.#hasEnded) return;
    if (this.#waiting.size === 0 && this.#hasPlace) return this.#begin(id, request);
    if (this.#waiting.size + this.#running.size >= MAX_OUTSTANDING) {
      throw badFrame(`${MAX_OUTSTANDING} requests wait for their replies already`);
    }
    this.#waiting.set(id, request);
    this.#waitingBytes += request.length;
  }

  /**
   * The caller has given a call up.
   *
   * @throws {ProtocolError} `ERR_CALL_FRAME` when there was no such call
   */
  onCancel(id: number): void {
    if (isAfter(id, this.lastId)) throw badFrame("it cancels a call that was never made");
    const request = this.#waiting.get(id);
    if (request !== undefined) {
      this.#waiting.delete(id);
      this.#waitingBytes -= request.length;
      return;
    }
    const call = this.#running.get(id);
    this.#running.delete(id);
    call?.cancel(null);
  }

  /** There may be room for replies, and so for handlers. */
  pump(): void {
    for (const [id, request] of this.#waiting) {
      if (!this.#hasPlace) return;
      this.#waiting.delete(id);
      this.#waitingBytes -= request.length;
      try {
        this.#begin(id, request);
      } catch (error) {
        return this.#receiver.fail(error);
      }
    }
  }

  /** No request that comes from here on is begun. */
  refuse(): void {
    this.#hasEnded = true;
  }

  /** The caller is gone: nothing waits for replies any more. */
  end(cause: unknown): void {
    this.#hasEnded = true;
    this.#waiting.clear();
    this.#waitingBytes = 0;
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const call of running) call.cancel(cause ?? undefined);
  }

  get #hasPlace(): boolean {
    const { callsOut, hasRoom } = this.#receiver;
    return this.#handlers < Math.min(MAX_RUNNING + callsOut, MAX_OUTSTANDING) && hasRoom;
  }

  #begin(id: number, request: Uint8Array): void {
    const call = new RunningCall(this.#receiver);
    const reply = this.#table.ask(request, call);
    if (!(reply instanceof Promise)) return this.#receiver.reply(id, reply);
    this.#running.set(id, call);
    this.#handlers++;
    void reply.then((bytes) => {
      this.#handlers--;
      if (this.#running.delete(id)) this.#receiver.reply(id, bytes);
      this.pump();
      this.#receiver.onProgress();
    });
  }
}
