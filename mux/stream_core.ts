// One stream as its session sees it: state, both halves, and what frames do to them.
import { ClosedError, type ParleyError, ProtocolError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import { Flag, FrameType } from "./header.ts";
import type { SessionMemory } from "./memory.ts";
import { ReceiveSide } from "./receive_side.ts";
import { SendQueue } from "./send_queue.ts";
import { isOver, isReadOver, isWriteOver, nextState, type StreamEvent, type StreamState } from "./state.ts";
import type { FrameWriter } from "./writer.ts";

/** What a stream needs from its session. */
export interface StreamHost {
  readonly clock: Clock;
  readonly memory: SessionMemory;
  readonly writer: FrameWriter;
  readonly maxWindowBytes: number;
  /** Round trip of the session, milliseconds; asking for it keeps it fresh. */
  rttMs(): number | undefined;
  /** The stream went from one state to another. */
  onMove(core: StreamCore, from: StreamState): void;
  /** The stream is over and holds nothing any more. */
  onSpent(core: StreamCore): void;
}

/** The inner side of a stream. */
export class StreamCore {
  readonly id: number;
  /** True when the peer opened it. */
  readonly isIncoming: boolean;
  readonly sender: SendQueue;
  readonly receiver: ReceiveSide;
  readonly #host: StreamHost;
  #state: StreamState;
  #ended: ParleyError | undefined;
  #closed: PromiseWithResolvers<ParleyError | undefined> | undefined;

  constructor(id: number, isIncoming: boolean, host: StreamHost) {
    this.id = id;
    this.isIncoming = isIncoming;
    this.#host = host;
    this.#state = isIncoming ? "offered" : "opening";
    this.sender = new SendQueue(id, host.writer, host.clock, {
      onFinSent: () => this.#onFinSent(),
      onBroken: (reason) => this.reset(reason),
    });
    this.receiver = new ReceiveSide(host.maxWindowBytes, {
      clock: host.clock,
      memory: host.memory,
      rttMs: () => host.rttMs(),
      onCredit: (length) => this.#frame(0, length),
      onDrained: () => this.#checkSpent(),
    });
  }

  /** Where it stands. */
  get state(): StreamState {
    return this.#state;
  }

  /** Resolves at the end: with nothing after both FINs, else with what ended it. */
  get closed(): Promise<ParleyError | undefined> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers();
      if (isOver(this.#state)) this.#closed.resolve(this.#ended);
    }
    return this.#closed.promise;
  }

  /** Sends SYN. */
  open(): void {
    this.#frame(Flag.syn, 0);
  }

  /** The application takes it: sends ACK. */
  accept(): void {
    this.#move("accept");
    this.#frame(Flag.ack, 0);
  }

  /** A frame came; flags are judged in the order SYN (by the session), ACK, data or window, FIN, RST. */
  onFrame(type: number, flags: number, length: number): void {
    if (flags & Flag.ack) this.#move("ack");
    if (type === FrameType.data) this.#onData(length);
    else if (length > 0 && !isWriteOver(this.#state)) this.sender.grant(length);
  }

  /** The body of the frame is through; ends come after it. */
  onFlags(flags: number): void {
    if (flags & Flag.fin) {
      this.#move("receiveFin");
      this.receiver.end();
      this.#checkSpent();
    }
    if (flags & Flag.rst) this.#onReset();
  }

  /** Takes a part of a body. */
  onBody(bytes: Uint8Array): void {
    this.receiver.push(bytes);
    this.#refuseUnwanted();
  }

  /** Ends it with RST; `reason` becomes the cause of what waiting calls reject with. */
  reset(reason?: unknown): void {
    if (isOver(this.#state)) {
      // Nothing left to say to the peer, but unread bytes are dropped.
      this.receiver.discard();
      return;
    }
    const text = `Cannot go on with stream ${this.id} as it was reset on this side`;
    this.#endWith(
      new ClosedError("ERR_RESET", text, { cause: reason, unsentBytes: this.sender.pendingBytes }),
      {
        drop: true,
        tell: true,
      },
    );
  }

  /** Ends it with RST and a given error. */
  kill(error: ParleyError): void {
    if (!isOver(this.#state)) this.#endWith(error, { drop: true, tell: true });
  }

  /** The session is over. What came whole, with its FIN, stays readable. */
  fail(error: ParleyError): void {
    if (!isOver(this.#state)) this.#endWith(error, { drop: false, tell: false });
  }

  /** Ends both directions in order, as far as we are concerned: see `MuxStream.close`. */
  close(): void {
    this.receiver.discard();
    if (!isWriteOver(this.#state)) this.sender.finish().catch(() => {});
    this.#refuseUnwanted();
    this.#checkSpent();
  }

  #onData(length: number): void {
    if (isOver(this.#state)) return;
    if (length > 0) this.#move("receiveData");
    this.receiver.announce(length);
  }

  #onReset(): void {
    if (isOver(this.#state)) return;
    const text = `Cannot go on with stream ${this.id} as the peer reset it`;
    const error = new ClosedError("ERR_RESET", text, { unsentBytes: this.sender.pendingBytes });
    this.#endWith(error, { drop: false, tell: false });
  }

  #onFinSent(): void {
    this.#move("sendFin");
    this.#refuseUnwanted();
    this.#checkSpent();
  }

  /** Data that nobody will read is answered with RST, as TCP does, once our own data is through. */
  #refuseUnwanted(): void {
    if (this.receiver.discardedBytes === 0 || !isWriteOver(this.#state) || isReadOver(this.#state)) return;
    this.#frame(Flag.rst, 0);
    this.#move("reset");
    this.receiver.fail(undefined, true);
    this.#closed?.resolve(undefined);
    this.#checkSpent();
  }

  #endWith(error: ParleyError, { drop, tell }: { drop: boolean; tell: boolean }): void {
    if (tell) this.#frame(Flag.rst, 0);
    this.#ended = error;
    this.#move("reset");
    this.sender.fail(error);
    this.receiver.fail(error, drop);
    this.#closed?.resolve(error);
    this.#checkSpent();
  }

  #move(event: StreamEvent): void {
    const from = this.#state;
    const to = nextState(from, event);
    if (to === undefined) {
      const text = `Cannot take "${event}" on stream ${this.id} in state "${from}"`;
      throw new ProtocolError("ERR_MUX_STREAM_STATE", text);
    }
    if (to === from) return;
    this.#state = to;
    if (to === "closed") this.#closed?.resolve(undefined);
    this.#host.onMove(this, from);
  }

  #checkSpent(): void {
    if (isOver(this.#state) && this.receiver.bufferedBytes === 0) this.#host.onSpent(this);
  }

  #frame(flags: number, length: number): void {
    this.#host.writer.control({ type: FrameType.windowUpdate, flags, streamId: this.id, length });
  }
}
