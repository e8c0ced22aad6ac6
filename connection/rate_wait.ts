// RateWait: the message that waits for a rate limit, and the time after which its connection drops it.
import { LimitError } from "../errors.ts";
import { MAX_TIMER_MS } from "../options/check.ts";
import type { Rest } from "./received.ts";
import type { MessageGate } from "./types.ts";

/**
 * Longest time in ms that messages of a peer that has left may take to pass; the idle time, if that
 * is shorter.
 */
const MAX_REST_MS = 30_000;

/** Bytes that are borrowed at a time: room for one more chunk. */
const LOAN_BYTES = 65_536;

/** Most bytes that a connection borrows: as many as one message may have by default. */
const MAX_LOAN_BYTES = 2 ** 20;

/** Options of a {@linkcode RateWait}. */
export interface RateWaitOptions {
  /** Asked before each message is handed out. */
  readonly gate: MessageGate;
  /** Time in ms without traffic after which the connection ends; 0 is off. */
  readonly idleTimeoutMs: number;
}

/** Learns what becomes of the message that waits. */
export interface RateWaitListener {
  /** A message has to wait. */
  onRatePause(): void;
  /** The message that waited has passed. Not called within {@linkcode RateWait.pass}. */
  onRatePassed(): void;
  /** The time of a peer that has left is over; see {@linkcode RateWait.judgeRest}. */
  onRateLate(): void;
}

/**
 * Holds the one message that was decoded and may not be handed out yet. It passes as soon as the
 * limits allow, whether or not a reader waits for it just then: it is counted then, and others have
 * their turn.
 *
 * Not for concurrent use: it belongs to one receive queue.
 */
export class RateWait {
  readonly #options: RateWaitOptions;
  readonly #listener: RateWaitListener;
  /** How long messages may wait once the peer has left. */
  readonly #restTimeoutMs: number;
  /** Bytes that may be held beyond the connection's own bound. */
  #borrowed = 0;
  #message: Uint8Array | null = null;
  #passed = false;
  /** Whether the message has given up its place. */
  #resting = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isReferenced = true;
  #askedAtMs = 0;
  #waitMs = Infinity;
  /** How much longer messages may wait; `Infinity` until the peer has left. */
  #allowedMs = Infinity;
  #isJudged = false;

  constructor(options: RateWaitOptions, listener: RateWaitListener) {
    this.#options = options;
    this.#listener = listener;
    const { idleTimeoutMs } = options;
    this.#restTimeoutMs = idleTimeoutMs > 0 ? Math.min(idleTimeoutMs, MAX_REST_MS) : MAX_REST_MS;
    // Not from within: the call comes from a gate that has just let a message of another connection through.
    options.gate.onTurn = () => queueMicrotask(() => this.#askAgain());
  }

  /** Whether a message waits for the limits, and not for a reader. */
  get waiting(): boolean {
    return this.#message !== null && !this.#passed;
  }

  /** Whether it holds a message, even one that has passed. */
  get holds(): boolean {
    return this.#message !== null;
  }

  /** Bytes of the message that is held. */
  get heldBytes(): number {
    return this.#message?.length ?? 0;
  }

  /**
   * Returns whether a message may be handed out now; it is held otherwise. Call it only while none
   * is held.
   */
  pass(message: Uint8Array): boolean {
    const nowMs = performance.now();
    const waitMs = this.#options.gate.ask(message.length, nowMs);
    if (waitMs === 0) return true;
    this.#message = message;
    this.#passed = false;
    this.#listener.onRatePause();
    this.#wait(waitMs, nowMs);
    return false;
  }

  /** Takes the message that is held, or `undefined` when it still has to wait. */
  take(): Uint8Array | undefined {
    if (this.#resting) this.#goOn();
    if (this.#message === null || !this.#passed) return undefined;
    const message = this.#message;
    this.#message = null;
    return message;
  }

  /** Whether a message that waits keeps the process alive. */
  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    if (this.#timer === undefined) return;
    if (isReferenced) Deno.refTimer(this.#timer);
    else Deno.unrefTimer(this.#timer);
  }

  /** Releases the message's place and timer until a reader comes, because none may ever come. */
  rest(): void {
    if (!this.waiting) return;
    this.#resting = true;
    this.#options.gate.leave();
    clearTimeout(this.#timer);
  }

  /** Drops the message that is held: nothing will be handed out any more. */
  drop(): void {
    if (this.waiting) this.#options.gate.leave();
    this.#message = null;
    this.#resting = false;
    clearTimeout(this.#timer);
  }

  /**
   * No more messages come than those that are held: they have a limited time to pass. Returns an
   * error when that is certain to be too short for all of them, which the caller then drops.
   * `count` is called once only, to find out how many there are.
   */
  judgeRest(count: () => Rest): LimitError | null {
    if (this.#isJudged) return null;
    this.#isJudged = true;
    const nowMs = performance.now();
    const rest = count();
    if (this.#takesTooLong(rest, nowMs)) return this.lateError(rest);
    this.#allowedMs = this.#restTimeoutMs;
    if (this.waiting) this.#wait(this.#askedAtMs + this.#waitMs - nowMs, nowMs);
    return null;
  }

  /**
   * Returns whether to read on although enough is held: what is held will take so long that the
   * peer may have left long before, and only reading to its end shows that. `held` may be an
   * estimate; `overBytes` of it are beyond the connection's own bound.
   */
  looksAhead(held: Rest, overBytes: number): boolean {
    if (!this.waiting) return false;
    if (overBytes < this.#borrowed) return true;
    if (this.#borrowed >= MAX_LOAN_BYTES) return false;
    if (!this.#takesTooLong(held, performance.now()) || !this.#options.gate.borrow(LOAN_BYTES)) {
      return false;
    }
    this.#borrowed += LOAN_BYTES;
    return true;
  }

  /** No more is held than the connection's own bound allows, or nothing more is read. */
  giveBack(): void {
    if (this.#borrowed > 0) this.#options.gate.giveBack(this.#borrowed);
    this.#borrowed = 0;
  }

  /** The error of messages that could not pass in time. */
  lateError({ messages, bytes }: Rest): LimitError {
    const count = messages === 1 ? "1 message" : `${messages} messages`;
    return new LimitError(
      "ERR_RATE_LIMITED",
      `Cannot deliver the last ${count} of ${bytes} bytes: the peer has left, and the rate limit does not let ` +
        `them through within ${this.#restTimeoutMs} ms. They were dropped`,
      { droppedMessages: messages, droppedBytes: bytes },
    );
  }

  #takesTooLong({ messages, bytes }: Rest, nowMs: number): boolean {
    return this.#options.gate.restMs(messages, bytes, nowMs) > this.#restTimeoutMs;
  }

  #goOn(): void {
    this.#resting = false;
    const nowMs = performance.now();
    const waitMs = this.#options.gate.ask(this.heldBytes, nowMs);
    if (waitMs === 0) this.#passed = true;
    else this.#wait(waitMs, nowMs);
  }

  #askAgain(): void {
    if (!this.waiting || this.#resting) return;
    const nowMs = performance.now();
    this.#allowedMs -= nowMs - this.#askedAtMs;
    const waitMs = this.#options.gate.ask(this.heldBytes, nowMs);
    if (waitMs === 0) {
      clearTimeout(this.#timer);
      this.#passed = true;
      this.#listener.onRatePassed();
    } else if (this.#allowedMs <= 0) this.#listener.onRateLate();
    else this.#wait(waitMs, nowMs);
  }

  #wait(waitMs: number, nowMs: number): void {
    clearTimeout(this.#timer);
    this.#waitMs = waitMs;
    this.#askedAtMs = nowMs;
    const untilMs = Math.min(waitMs, this.#allowedMs);
    // Without a time of its own it waits for its turn.
    if (untilMs === Infinity) return;
    const timerMs = Math.min(Math.ceil(Math.max(0, untilMs)), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#askAgain(), timerMs);
    if (!this.#isReferenced) Deno.unrefTimer(this.#timer);
  }
}
