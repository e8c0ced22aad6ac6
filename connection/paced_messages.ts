// PacedMessages: the messages in what was received, each handed out once the rate limit allows it.
import type { LimitError } from "../errors.ts";
import type { Framing, FramingLimits } from "../framing.ts";
import { RateWait, type RateWaitListener } from "./rate_wait.ts";
import type { Received, Rest } from "./received.ts";
import type { MessageGate, MessageObserver } from "./types.ts";

/** Options of {@linkcode PacedMessages}. */
export interface PacedMessagesOptions {
  /** Asked before each message is handed out. @default {none} */
  readonly rateGate?: MessageGate | undefined;
  /** Called for each message. */
  readonly observer?: MessageObserver | undefined;
  /** Time in ms without traffic after which the connection ends; 0 is off. */
  readonly idleTimeoutMs: number;
}

/**
 * The bytes that were received, their decoder, and the one message that waits for the rate limit.
 * Not for concurrent use.
 */
export class PacedMessages {
  readonly #received: Received;
  /** `null` where there is no rate limit. */
  readonly #rate: RateWait | null;

  constructor(
    received: Received,
    options: PacedMessagesOptions,
    listener: RateWaitListener,
  ) {
    const { rateGate: gate, idleTimeoutMs } = options;
    this.#received = received;
    this.#rate = gate === undefined ? null : new RateWait({ gate, idleTimeoutMs }, listener);
  }

  /** Bytes received and not yet handed out. */
  get heldBytes(): number {
    return this.#received.heldBytes + (this.#rate?.heldBytes ?? 0);
  }

  /** Bytes that are not decoded. */
  get undecodedBytes(): number {
    return this.#received.heldBytes;
  }

  /** Whether a message waits for the rate limit. */
  get keepsRate(): boolean {
    return this.#rate !== null && this.#rate.waiting;
  }

  /** Whether {@linkcode endHere} was called. */
  get hasEnd(): boolean {
    return this.#received.hasEnd;
  }

  /** Whether all was handed out that began before {@linkcode endHere} was called. */
  get isOver(): boolean {
    return this.#received.isOver && !this.#holdsMessage;
  }

  get #holdsMessage(): boolean {
    return this.#rate !== null && this.#rate.holds;
  }

  /** Takes a chunk that was read. */
  push(chunk: Uint8Array): void {
    this.#received.push(chunk);
  }

  /**
   * Returns the next message, or `undefined` when none is complete or it must wait for the rate
   * limit. Throws what the decoder throws.
   */
  take(): Uint8Array | undefined {
    const rate = this.#rate;
    if (rate === null) return this.#received.next();
    if (rate.holds) return rate.take();
    const message = this.#received.next();
    return message === undefined || rate.pass(message) ? message : undefined;
  }

  /**
   * Appends the next messages to `batch`, at most `most`; none when none is complete or it must wait
   * for the rate limit. There may be more behind them. Throws what the decoder throws.
   */
  takeInto(batch: Uint8Array[], most: number): void {
    if (this.#rate === null) return this.#received.nextInto(batch, most);
    const message = this.take();
    if (message !== undefined) batch.push(message);
  }

  /** Decodes from the next message on by another framing. */
  setFraming(framing: Framing, limits: FramingLimits): void {
    this.#received.setFraming(framing, limits);
  }

  /** Messages that begin behind what was pushed so far are not handed out. */
  endHere(): void {
    this.#received.endHere();
  }

  /** Throws when the input, of which no more comes, ended inside a message. */
  checkWhole(): void {
    this.#received.checkWhole();
  }

  /** Adds to the error of a malformed first message what the peer speaks, where its first bytes show it. */
  explain(error: Error): void {
    this.#received.explain(error);
  }

  /**
   * The peer has left. Returns an error when the rate limit would hold back for too long what it
   * has sent.
   */
  judgeRest(): LimitError | null {
    return this.#rate?.judgeRest(() => this.#countRest()) ?? null;
  }

  /** Returns the error of messages that the rate limit held back for too long. */
  lateError(): LimitError {
    return this.#rate!.lateError(this.#countRest());
  }

  /**
   * Returns whether to read on although enough is held, because the rate limit holds it back for
   * long. `messagesIn` messages were handed out so far; the connection's own bound is
   * `highWaterBytes`.
   */
  looksAhead(messagesIn: number, highWaterBytes: number): boolean {
    if (this.#rate === null || this.#received.hasEnd) return false;
    const { heldBytes: bytes, decodedBytes } = this.#received;
    const frameBytes = Math.max(1, decodedBytes / (messagesIn + 1));
    return this.#rate.looksAhead(
      { messages: Math.floor(bytes / frameBytes), bytes },
      this.heldBytes - highWaterBytes,
    );
  }

  /** No more is held than the connection's own bound allows, or nothing more is read. */
  giveBack(): void {
    this.#rate?.giveBack();
  }

  /** No reader may ever come for the message that waits. */
  rest(): void {
    this.#rate?.rest();
  }

  /** Drops the message that waits. */
  drop(): void {
    this.#rate?.drop();
  }

  /** Sets whether a message that waits for the rate limit keeps the process alive. */
  setReferenced(isReferenced: boolean): void {
    this.#rate?.setReferenced(isReferenced);
  }

  /** Counts whole messages that were received and not handed out. */
  #countRest(): Rest {
    const { messages, bytes } = this.#received.count();
    return {
      messages: messages + (this.#holdsMessage ? 1 : 0),
      bytes: bytes + this.#rate!.heldBytes,
    };
  }
}
