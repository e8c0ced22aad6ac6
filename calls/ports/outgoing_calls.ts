// OutgoingCalls: the calls that go out on one connection, by id: many in flight, the others in order.
import { ClosedError, FramingError } from "../../errors.ts";
import {
  badFrame,
  bareFrame,
  CallFrame,
  FRAME_HEAD_BYTES,
  isAfter,
  MAX_OUTSTANDING,
  writeFrameHead,
} from "../protocol/call_frames.ts";
import type { CallHolder, PendingCall } from "./pending_call.ts";

/**
 * Where small frames are made: a connection copies what it is given to send, up to 16 KiB, and so
 * memory is spared.
 */
export const FRAME_SCRATCH: Uint8Array = new Uint8Array(4096);

/** Sends the frames of calls. */
export interface FrameSender {
  /** Whether frames may be sent now that can wait. */
  readonly hasRoom: boolean;
  /**
   * Sends a frame. `onRefused` is called, later, when the connection does not take it: a
   * `FramingError` when it is too large.
   */
  send(frame: Uint8Array, onRefused?: (error: unknown) => void): void;
  /** Announces to the other side how much this one takes, before the first request. */
  tellLimit(): void;
  /** A call was added. */
  onAdded(): void;
  /** No call waits or is under way any more. */
  onIdle(): void;
}

/**
 * The calling half of one connection. Everything may be called at any time.
 *
 * ```
 * open ──onGoingAway(), finish()──▶ refusing ──▶ ended
 *   └─────────────end()──────────────────────────▲
 * ```
 */
export class OutgoingCalls implements CallHolder {
  readonly #sender: FrameSender;
  readonly #peer: string;
  readonly #sent = new Map<number, PendingCall>();
  readonly #waiting = new Set<PendingCall>();
  #lastId = 0;
  /** Largest message that the other side takes, in bytes, once it has said that. */
  maxFrameBytes: number = Infinity;
  /** Why no more calls are taken. */
  #refusal: ClosedError | null = null;

  /** @param peer how errors name the other side */
  constructor(sender: FrameSender, peer: string) {
    this.#sender = sender;
    this.#peer = peer;
  }

  /** Calls that were sent or wait. */
  get size(): number {
    return this.#sent.size + this.#waiting.size;
  }

  /** Why no more calls are taken; `null` while they are. */
  get refusal(): ClosedError | null {
    return this.#refusal;
  }

  /** Sends a call, or lets it wait for its turn. */
  add(call: PendingCall): void {
    if (this.#refusal !== null) return call.lose(this.#refusal, true);
    call.holder = this;
    call.id = 0;
    if (this.#waiting.size === 0 && this.#canSend) this.#send(call);
    else {
      call.hasWaited = true;
      this.#waiting.add(call);
    }
    this.#sender.onAdded();
  }

  /** There may be room for calls that wait. */
  pump(): void {
    for (const call of this.#waiting) {
      if (!this.#canSend) return;
      this.#waiting.delete(call);
      this.#send(call);
    }
  }

  /** The caller has given up: nothing of the call stays here, and the other side learns it. */
  onGivenUp(call: PendingCall): void {
    if (!this.#waiting.delete(call) && this.#sent.delete(call.id)) {
      this.#sender.send(bareFrame(CallFrame.cancel, call.id));
      this.pump();
    }
    this.#tellIdle();
  }

  /**
   * A reply has come.
   *
   * @throws {ProtocolError} `ERR_CALL_FRAME` when there was no such call
   */
  onReply(id: number, reply: Uint8Array): void {
    const call = this.#sent.get(id);
    if (call === undefined) {
      if (isAfter(id, this.#lastId)) throw badFrame("it is a reply to a call that was never made");
      return;
    }
    this.#sent.delete(id);
    call.resolve(reply);
    if (this.#waiting.size > 0) this.pump();
    this.#tellIdle();
  }

  /** The connection closes in order: calls that were added go on, no more are taken. */
  finish(): void {
    this.#refusal ??= ended(this.#peer, null);
  }

  /** The other side asks for no more calls. */
  onGoingAway(): void {
    this.#refusal ??= new ClosedError(
      "ERR_GOING_AWAY",
      `${this.#peer} takes no more calls, because it is going away: call again on another connection`,
    );
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) call.lose(this.#refusal, true);
    this.#tellIdle();
  }

  /** The other side has not begun any call after `lastId`, and will not. */
  onLast(lastId: number): void {
    this.onGoingAway();
    for (const [id, call] of this.#sent) {
      if (!isAfter(id, lastId)) continue;
      this.#sent.delete(id);
      call.lose(this.#refusal!, true);
    }
    this.#tellIdle();
  }

  /** No more replies come. */
  end(cause: unknown): void {
    const options = cause === null ? {} : { cause };
    this.#refusal = ended(this.#peer, cause);
    const lost = new ClosedError(
      "ERR_RESET",
      `The connection to ${this.#peer} ended before the reply: the call may have been done`,
      options,
    );
    const sent = [...this.#sent.values()];
    const waiting = [...this.#waiting];
    this.#sent.clear();
    this.#waiting.clear();
    for (const call of sent) call.lose(lost, false);
    for (const call of waiting) call.lose(this.#refusal, true);
  }

  #tellIdle(): void {
    if (this.size === 0) this.#sender.onIdle();
  }

  get #canSend(): boolean {
    return this.#sent.size < MAX_OUTSTANDING && this.#sender.hasRoom;
  }

  #send(call: PendingCall): void {
    let frame: Uint8Array;
    try {
      if (this.#lastId === 0) this.#sender.tellLimit();
      frame = call.call.request(FRAME_HEAD_BYTES, FRAME_SCRATCH, call.leftMs);
      checkSize(frame.length, this.maxFrameBytes, this.#peer);
    } catch (error) {
      return call.reject(error);
    }
    const id = this.#lastId = (this.#lastId + 1) >>> 0;
    call.id = id;
    this.#sent.set(id, call);
    this.#sender.send(writeFrameHead(frame, CallFrame.request, id), (error) => {
      if (!this.#sent.delete(id)) return;
      if (error instanceof FramingError) {
        call.reject(error);
        this.pump();
      } else {
        this.#refusal ??= ended(this.#peer, error);
        call.lose(this.#refusal, true);
      }
      this.#tellIdle();
    });
  }
}

/** @throws {FramingError} when the other side does not take so much */
function checkSize(bytes: number, maxBytes: number, peer: string): void {
  if (bytes <= maxBytes) return;
  throw new FramingError(
    "ERR_FRAME_TOO_LARGE",
    `Cannot send a request: ${peer} takes at most ${maxBytes} bytes, it has ${bytes}`,
  );
}

/** The error of a call that was not sent. */
function ended(peer: string, cause: unknown): ClosedError {
  return new ClosedError(
    "ERR_CLOSED",
    `The connection to ${peer} has ended: the call was not sent`,
    cause === null ? {} : { cause },
  );
}
