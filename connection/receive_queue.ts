// ReceiveQueue: reads ahead within a bound, decodes on demand, hands messages to one reader at a time.
import type { Framing, FramingLimits } from "../framing.ts";
import { readTo } from "../net/transport/handover.ts";
import type { ChunkReader, Transport } from "../net/transport/transport.ts";
import { Arrivals } from "./arrivals.ts";
import { PacedMessages, type PacedMessagesOptions } from "./paced_messages.ts";
import type { RateWaitListener } from "./rate_wait.ts";
import { ReaderSlot, type ReaderSource } from "./reader_slot.ts";
import { Received } from "./received.ts";
import { endReceiving, type ReceiveEnd, type ReceiveState } from "./receive_state.ts";

/** Options of a {@linkcode ReceiveQueue}. */
export interface ReceiveQueueOptions extends PacedMessagesOptions {
  /** Reads ahead until this many bytes wait to be taken. */
  readonly readAheadBytes: number;
  /** Called when a message has to wait for the rate limit. */
  readonly onRatePause?: (() => void) | undefined;
}

const READING: ReceiveState = { kind: "reading" };

/** Learns what comes from the peer. */
export interface ReceiveListener {
  /** Bytes were read. */
  onRead(): void;
  /** The reader has nothing left to take: what was sent so far should go out now. */
  onReaderIdle(): void;
  /** Called once, when the transport has no more bytes: with `null` at an end in order. */
  onInputEnd(error: Error | null): void;
  /**
   * Called once, when the bytes are no message, or may not be handed out. More may come, and are
   * thrown away.
   */
  onInputFault(error: Error): void;
}

/**
 * The reading half of a connection, the twin of `WriteQueue`. After {@linkcode start} it reads on
 * its own, one read at a time: the next one begins when there is room, or when the reader waits.
 * Only that reader ever sleeps.
 *
 * One reader at a time, at {@linkcode reader}. Everything else may be called at any time.
 */
export class ReceiveQueue implements ReaderSource, RateWaitListener, ChunkReader {
  readonly #transport: Transport;
  readonly #readAheadBytes: number;
  readonly #onRatePause: ReceiveQueueOptions["onRatePause"];
  readonly #observer: ReceiveQueueOptions["observer"];
  readonly #listener: ReceiveListener;
  readonly #messages: PacedMessages;
  #state = READING;
  /**
   * Whether the next read may begin, one is under way or its chunk is not kept yet, or no more
   * bytes come.
   */
  #input: "idle" | "busy" | "over" = "idle";
  /** Reads what had arrived when `drain` was called. */
  #arrivals: Arrivals | null = null;
  /** Whether bytes that had arrived may have been left when that was decided. */
  #leavesSome = false;
  /** Bytes that came and were thrown away although they may have arrived before `drain` was called. */
  leftBytes = 0;
  /** Messages handed out. */
  messagesIn = 0;
  /** The one reader: it takes messages here. */
  readonly reader: ReaderSlot;
  /** Bytes read. */
  bytesIn = 0;

  constructor(
    transport: Transport,
    framing: Framing,
    limits: FramingLimits,
    options: ReceiveQueueOptions,
    listener: ReceiveListener,
  ) {
    this.#transport = transport;
    this.#readAheadBytes = options.readAheadBytes;
    this.#onRatePause = options.onRatePause;
    this.#observer = options.observer;
    this.#listener = listener;
    this.#messages = new PacedMessages(
      new Received(framing, limits, options.observer),
      options,
      this,
    );
    this.reader = new ReaderSlot(this, options.observer);
  }

  /** Begins to read. */
  start(): void {
    this.#readOn();
  }

  /** Bytes received and not yet handed out. */
  get heldBytes(): number {
    return this.#messages.heldBytes;
  }

  /** Whether a message has begun whose rest the reader waits for. */
  get waitsForRest(): boolean {
    return this.reader.isWaiting && this.#messages.undecodedBytes > 0 && !this.keepsRate;
  }

  /** Whether this side makes the peer wait, to keep a rate. */
  get keepsRate(): boolean {
    return this.#messages.keepsRate;
  }

  /**
   * Whether a read waits for the peer: no reader of ours pauses, no rate holds the peer back, its
   * direction is open.
   */
  get isReading(): boolean {
    const { kind } = this.#state;
    return (kind === "reading" || kind === "discarding") && this.#input === "busy" &&
      !this.keepsRate;
  }

  /** Sets whether a message that waits for a rate limit keeps the process alive. */
  setReferenced(isReferenced: boolean): void {
    this.#messages.setReferenced(isReferenced);
  }

  /** Decodes from the next message on by another framing. */
  setFraming(framing: Framing, limits: FramingLimits): void {
    this.#messages.setFraming(framing, limits);
    this.#settle();
  }

  /** Reads what has arrived, hands it out up to the end of a message that has begun, and then ends. */
  drain(): void {
    if (this.#arrivals !== null || this.#state.kind !== "reading") return;
    const arrivals = this.#arrivals = new Arrivals((isAll) => {
      this.#leavesSome = !isAll;
      this.#messages.endHere();
      this.#settle();
    });
    if (this.#input === "busy") arrivals.waits();
  }

  /**
   * Keeps nothing that comes from here on; `end` says what becomes of what was received. The first
   * end of a kind counts.
   */
  end(end: ReceiveEnd): void {
    if (!this.#enter(end)) return;
    if (end.kind === "ended" && !this.reader.isWaiting) this.#messages.rest();
    this.#settle();
  }

  /**
   * A message has to wait for the rate limit. There may be a reason now to look whether the peer
   * has left.
   */
  onRatePause(): void {
    this.#onRatePause?.();
    this.#readAhead();
  }

  /** The message that waited for the rate limit has passed. */
  onRatePassed(): void {
    this.#settle();
  }

  /** The peer has left, and the rate limit held its messages back for too long. */
  onRateLate(): void {
    this.#fail(this.#messages.lateError());
    this.#settle();
  }

  /** The reader waits. */
  onWait(): void {
    this.#readOn();
    if (!this.reader.isYielding && !this.keepsRate) this.#observer?.waits();
    this.#listener.onReaderIdle();
  }

  /** The wait is over before a message came: the message will be the next reader's. */
  onGivenUp(): void {
    if (this.#state.kind === "ended") this.#messages.rest();
  }

  /** Others have had their turn. */
  onTurn(): void {
    this.#settle();
  }

  /**
   * Returns a message, `null` at the end, or `undefined` when none is complete. Throws what ended
   * the connection.
   */
  take(): Uint8Array | null | undefined {
    const state = this.#state;
    if (state.kind === "cut") throw state.error;
    const message = this.#decode();
    if (message !== undefined) {
      this.messagesIn++;
      if (this.#input === "idle") this.#readOn();
      return message;
    }
    return this.#takeNone(state);
  }

  /**
   * Returns all whole messages that are here, 1 to `most`; else what {@linkcode take} returns or
   * throws.
   */
  takeBatch(most: number): Uint8Array[] | null | undefined {
    const state = this.#state;
    if (state.kind === "cut") throw state.error;
    const batch = this.#decodeBatch(most);
    if (batch.length === 0) return this.#takeNone(state);
    if (this.#input === "idle") this.#readOn();
    return batch;
  }

  /** No message is complete: returns what that means. */
  #takeNone(state: Exclude<ReceiveState, { kind: "cut" }>): null | undefined {
    if (this.#messages.isOver) return null;
    switch (state.kind) {
      case "reading":
        return undefined;
      case "discarding":
        return this.keepsRate ? undefined : null;
      case "ended":
        if (this.keepsRate) return this.#judgeRest();
        if (state.error !== null) throw state.error;
        if (state.truncatable) this.#checkWhole();
        return null;
    }
  }

  /**
   * The peer has left, and a message waits for the rate limit. Throws when what is left would take
   * too long.
   */
  #judgeRest(): undefined {
    const late = this.#messages.judgeRest();
    if (late === null) return undefined;
    this.#fail(late);
    throw late;
  }

  /** Decodes up to `most` messages. Bytes that are none end the input, once all before them were taken. */
  #decodeBatch(most: number): Uint8Array[] {
    const batch: Uint8Array[] = [];
    try {
      for (let before = 0; before < most; before = batch.length) {
        this.#messages.takeInto(batch, most - before);
        if (batch.length === before) break;
        this.messagesIn += batch.length - before;
      }
    } catch (error) {
      // The decoder throws it again.
      if (batch.length === 0) throw this.#malformed(error as Error);
    }
    return batch;
  }

  /** Decodes one message; bytes that are none end the input. */
  #decode(): Uint8Array | undefined {
    try {
      return this.#messages.take();
    } catch (error) {
      throw this.#malformed(error as Error);
    }
  }

  /** Fails when the input ended inside a message. */
  #checkWhole(): void {
    try {
      this.#messages.checkWhole();
    } catch (error) {
      throw this.#malformed(error as Error);
    }
  }

  /** What came is no message. */
  #malformed(error: Error): Error {
    if (this.messagesIn === 0) this.#messages.explain(error);
    this.#fail(error);
    return error;
  }

  #fail(error: Error): void {
    this.#enter({ kind: "cut", error });
    this.#listener.onInputFault(error);
  }

  /** Enters the state after `end`, unless receiving has come as far already. */
  #enter(end: ReceiveEnd): boolean {
    const state = endReceiving(this.#state, end);
    if (state === null) return false;
    this.#state = state;
    if (state.kind === "cut") this.#messages.drop();
    this.#arrivals?.stop();
    this.#messages.giveBack();
    this.#readOn();
    return true;
  }

  /** Passes what there is now to the reader that waits. */
  #settle(): void {
    // More bytes are needed: reading may have paused while the reader let others have their turn.
    if (this.reader.settle()) this.#readOn();
  }

  /** Begins the next read, unless one is under way or enough is here. */
  #readOn(): void {
    if (this.#input === "idle" && !this.#isFull()) this.#read();
  }

  /** The same, and reads on although enough is here where the rate limit holds that back for long. */
  #readAhead(): void {
    if (this.#input !== "idle") return;
    if (!this.#isFull() || this.#messages.looksAhead(this.messagesIn, this.#readAheadBytes)) {
      this.#read();
    }
  }

  #read(): void {
    this.#input = "busy";
    this.#arrivals?.waits();
    readTo(this.#transport, this);
  }

  /** The read is over. */
  onChunk(chunk: Uint8Array | null): void {
    if (chunk === null) return this.#endInput(null);
    try {
      this.bytesIn += chunk.length;
      this.#listener.onRead();
      this.#keep(chunk);
      this.#input = "idle";
      if (this.#isFull()) return this.#readAhead();
      this.#messages.giveBack();
      this.#read();
    } catch (error) {
      this.#endInput(error as Error);
    }
  }

  /** The read failed. */
  onReadFailed(error: Error): void {
    this.#endInput(error);
  }

  #endInput(error: Error | null): void {
    this.#input = "over";
    this.end({ kind: "ended", error });
    this.#listener.onInputEnd(error);
  }

  /** Takes what was read, unless it comes too late. */
  #keep(chunk: Uint8Array): void {
    if (this.#state.kind !== "reading" || this.#messages.isOver) {
      if (this.#leavesSome) this.leftBytes += chunk.length;
      return;
    }
    this.#messages.push(chunk);
    this.#arrivals?.came(chunk.length);
    if (this.reader.isWaiting) this.#settle();
  }

  /** Whether no more may be read now: enough waits for a reader, or all that will be handed out is here. */
  #isFull(): boolean {
    if (this.#state.kind !== "reading") return false;
    // A reader that waits for a limit or lets others have their turn has enough to take: else a
    // flood would be read without bound.
    const sated = !this.reader.isWaiting || this.reader.isYielding || this.keepsRate;
    if (this.#messages.hasEnd) return sated || this.#messages.isOver;
    return sated && this.heldBytes >= this.#readAheadBytes;
  }
}
