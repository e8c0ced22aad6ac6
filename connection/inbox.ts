// Inbox: reads ahead within a bound, decodes on demand, hands messages to one reader at a time.
import { setImmediate } from "node:timers";
import { TimeoutError } from "../errors.ts";
import type { FrameDecoder } from "../framing.ts";
import { checkDurationMs, MAX_TIMER_MS } from "../limits/check.ts";
import { explainFirstBytes, FIRST_BYTES } from "../net/first_bytes.ts";
import type { Transport } from "../net/transport.ts";
import { handled, rejected } from "./rejections.ts";
import { countTurn, TurnQuota } from "./turns.ts";

/**
 * Messages handed out in one turn of the event loop before others get theirs: chunks full of empty messages must not hold up
 * other connections. While turns are full the platform looks for new bytes only every 61 turns, so a turn must be short.
 */
const MESSAGES_PER_TURN = 256;

/** How a wait for a message may end early. */
export interface ReceiveOptions {
  /** Ends the wait; it rejects with the signal's reason. No message is lost by it. */
  signal?: AbortSignal;
  /** Longest wait in ms, 0 to not wait at all; then `ERR_READ_TIMEOUT`. @default {Infinity} */
  timeoutMs?: number;
}

/** Options of an {@linkcode Inbox}. */
export interface InboxOptions {
  /** Reads ahead until this many bytes wait to be taken. */
  readonly highWaterBytes: number;
  /** Called when the reader has nothing left to take: what was sent so far should go out now. */
  readonly onIdle: () => void;
  /** Called with the size of each chunk read; gives ms to wait before the next read (rate limit), 0 for none. */
  readonly onRead: (bytes: number) => number;
  /** Called once, when the transport gives no more bytes: with `null` at an orderly end. */
  readonly onEnd: (error: Error | null) => void;
  /** Called once, when the bytes are no message. More may come, and are thrown away. */
  readonly onMalformed: (error: Error) => void;
}

/** The one wait that may be pending. */
interface Waiter {
  deliver(message: Uint8Array | null): void;
  fail(error: unknown): void;
}

/**
 * ```
 * reading ──discard()──▶ discarding ──▶ ended      no more bytes come
 *    └────────────────────────────────────▲└─▶ cut   what was received is dropped as well
 * ```
 */
type State =
  | { readonly kind: "reading" }
  /** What was received is handed out; what comes now is read and thrown away, so that the peer is not reset. */
  | { readonly kind: "discarding" }
  /** No more bytes come; what was received is handed out, then the error or the end. */
  | { readonly kind: "ended"; readonly error: Error | null; readonly truncatable: boolean }
  /** Nothing is handed out any more. */
  | { readonly kind: "cut"; readonly error: Error };

/** Outcome of `take`: no complete message is here yet. */
const NONE = undefined;

/** The reading half of a connection. */
export class Inbox {
  readonly #transport: Transport;
  readonly #options: InboxOptions;
  #decoder: FrameDecoder;
  #state: State = { kind: "reading" };
  #waiter: Waiter | null = null;
  /** Wakes the reading loop when it waits for room. */
  #room: (() => void) | null = null;
  /** Wakes the reading loop when it keeps a rate. */
  #throttled: (() => void) | null = null;
  readonly #quota = new TurnQuota(MESSAGES_PER_TURN);
  /** Whether the reader waits for others to have their turn, not for bytes. */
  #yielding = false;
  /** Bytes given to the decoder. */
  #pushedBytes = 0;
  /** Only messages that begin before this byte of the input are handed out; `drain` sets it. */
  #drainOffset = Infinity;
  /** The first bytes that came: what the peer speaks, where that is no message. */
  #firstBytes: Uint8Array | null = null;
  /** Messages handed out. */
  messagesIn = 0;
  /** Bytes read. */
  bytesIn = 0;

  constructor(transport: Transport, decoder: FrameDecoder, options: InboxOptions) {
    this.#transport = transport;
    this.#decoder = decoder;
    this.#options = options;
  }

  /** Starts to read. It never rejects. */
  start(): void {
    void this.#read();
  }

  /** Bytes received and not yet handed out. */
  get heldBytes(): number {
    return this.#decoder.heldBytes;
  }

  /** Whether a message has begun whose rest we wait for. */
  get waitsForRest(): boolean {
    return this.#waiter !== null && this.#decoder.heldBytes > 0 && !this.keepsRate;
  }

  /** Whether we make the peer wait, to keep a rate. */
  get keepsRate(): boolean {
    return this.#throttled !== null;
  }

  /** Whether we would take what the peer sends: no reader of ours pauses, no rate holds the peer back, its direction is open. */
  get isReading(): boolean {
    const { kind } = this.#state;
    return (kind === "reading" || kind === "discarding") && this.#room === null && !this.keepsRate;
  }

  /** Decodes from the next message on with another decoder. */
  setDecoder(decoder: FrameDecoder): void {
    const rest = this.#decoder.takeRest();
    decoder.push(rest);
    this.#decoder = decoder;
    this.#settleWaiter();
  }

  /** Hands out what was received, up to the end of a message that has begun, and then ends. */
  drain(): void {
    this.#drainOffset = Math.min(this.#drainOffset, this.#pushedBytes);
    this.#settleWaiter();
  }

  /** Hands out what was received and then ends; what comes from now on is read and thrown away. */
  discard(): void {
    if (this.#state.kind !== "reading") return;
    this.#state = { kind: "discarding" };
    this.#wake();
    this.#settleWaiter();
  }

  /** Hands out what was received and then gives `error`, or the end for `null`. */
  end(error: Error | null): void {
    if (this.#state.kind === "ended" || this.#state.kind === "cut") return;
    const truncatable = error === null && this.#state.kind !== "discarding";
    this.#state = { kind: "ended", error, truncatable };
    this.#wake();
    this.#settleWaiter();
  }

  /** Drops what was received: every reader gets `error`. */
  cut(error: Error): void {
    if (this.#state.kind === "cut") return;
    this.#state = { kind: "cut", error };
    this.#wake();
    this.#settleWaiter();
  }

  /** The next message for iteration. */
  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#waiter !== null) return rejected(secondReader());
    try {
      const message = this.#quota.hasRoom ? this.#take() : this.#yieldTurn();
      if (message !== NONE) return Promise.resolve(iteration(message));
    } catch (error) {
      return rejected(error);
    }
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array, undefined>>();
    this.#wait({
      deliver: (message) => resolve(iteration(message)),
      fail(error) {
        reject(error);
        handled(promise);
      },
    });
    return promise;
  }

  /**
   * The next message, or `null` at the end.
   *
   * @throws {TypeError | RangeError} when `timeoutMs` is no duration
   */
  receive(options: ReceiveOptions = {}): Promise<Uint8Array | null> {
    const { signal, timeoutMs = Infinity } = options;
    if (signal?.aborted) return rejected(signal.reason);
    if (this.#waiter !== null) return rejected(secondReader());
    try {
      checkDurationMs("Cannot receive", "timeoutMs", timeoutMs, { minMs: 0, allowInfinity: true });
      const now = timeoutMs === 0 || this.#quota.hasRoom;
      const message = now ? this.#take() : this.#yieldTurn();
      if (message !== NONE) return Promise.resolve(message);
    } catch (error) {
      return rejected(error);
    }
    if (timeoutMs === 0) return rejected(readTimeout(0));
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    const fail = (error: unknown) => {
      reject(error);
      handled(promise);
    };
    const unbounded = signal === undefined && timeoutMs === Infinity;
    this.#wait(unbounded ? { deliver: resolve, fail } : this.#bounded(resolve, fail, signal, timeoutMs));
    return promise;
  }

  /** A waiter that gives up when `signal` aborts or the time is over; the message then waits for the next reader. */
  #bounded(
    resolve: (message: Uint8Array | null) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal | undefined,
    timeoutMs: number,
  ): Waiter {
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const giveUp = (error: unknown) => {
      settle();
      this.#waiter = null;
      reject(error);
    };
    const onAbort = () => giveUp(signal?.reason);
    const timer = timeoutMs === Infinity
      ? undefined
      : setTimeout(() => giveUp(readTimeout(timeoutMs)), timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    return {
      deliver(message) {
        settle();
        resolve(message);
      },
      fail(error) {
        settle();
        reject(error);
      },
    };
  }

  #wait(waiter: Waiter): void {
    this.#waiter = waiter;
    this.#quota.renew();
    if (!this.#yielding) this.#openRoom();
    this.#options.onIdle();
  }

  /** A message, `null` at the end, or `NONE`. Throws what ended the connection. */
  #take(): Uint8Array | null | undefined {
    const state = this.#state;
    if (state.kind === "cut") throw state.error;
    if (this.#isDrained()) return null;
    const message = this.#decode();
    if (message !== undefined) {
      this.messagesIn++;
      this.#quota.spend();
      if (this.#room !== null && !this.#isFull()) this.#openRoom();
      return message;
    }
    switch (state.kind) {
      case "reading":
        return NONE;
      case "discarding":
        return null;
      case "ended":
        if (state.error !== null) throw state.error;
        if (state.truncatable) this.#checkWhole();
        return null;
    }
  }

  /** Whether `drain` was called and the next message begins after that. */
  #isDrained(): boolean {
    return this.#drainOffset !== Infinity && this.#pushedBytes - this.heldBytes >= this.#drainOffset;
  }

  /** Decodes one message; bytes that are none end the input. */
  #decode(): Uint8Array | undefined {
    try {
      return this.#decoder.next();
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    }
  }

  /** Fails when the input ended inside a message. */
  #checkWhole(): void {
    try {
      this.#decoder.end();
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    }
  }

  #fail(error: Error): void {
    if (this.messagesIn === 0 && this.#firstBytes !== null) explainFirstBytes(error, this.#firstBytes);
    this.#state = { kind: "cut", error };
    this.#wake();
    this.#options.onMalformed(error);
  }

  /** Gives the waiting reader what there is now. */
  #settleWaiter(): void {
    const waiter = this.#waiter;
    if (waiter === null || this.#yielding) return;
    // Nobody waits while a message is taken: whether more is to be read depends on what is left.
    this.#waiter = null;
    try {
      const message = this.#take();
      if (message !== NONE) return waiter.deliver(message);
      // More bytes are needed: the reading loop may have stopped while the reader let others have their turn.
      this.#waiter = waiter;
      this.#openRoom();
    } catch (error) {
      waiter.fail(error);
    }
  }

  /** Lets other connections have their turn before the next message. */
  #yieldTurn(): undefined {
    if (this.#yielding) return NONE;
    this.#yielding = true;
    setImmediate(() => {
      countTurn();
      this.#quota.renew();
      this.#yielding = false;
      this.#settleWaiter();
    });
    return NONE;
  }

  #openRoom(): void {
    this.#room?.();
    this.#room = null;
  }

  #wake(): void {
    this.#openRoom();
    this.#throttled?.();
  }

  /** Reads until the input ends. It never rejects. */
  async #read(): Promise<void> {
    const { onRead, onEnd } = this.#options;
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null) break;
        this.#firstBytes ??= chunk.slice(0, FIRST_BYTES);
        this.bytesIn += chunk.length;
        const waitMs = onRead(chunk.length);
        if (this.#state.kind === "reading" && !this.#isDrained()) {
          this.#pushedBytes += chunk.length;
          this.#decoder.push(chunk);
          if (this.#waiter !== null) this.#settleWaiter();
        }
        if (waitMs > 0) await this.#throttle(waitMs);
        if (this.#isFull()) await new Promise<void>((resolve) => this.#room = resolve);
      }
      this.end(null);
      onEnd(null);
    } catch (error) {
      this.end(error as Error);
      onEnd(error as Error);
    }
  }

  /** Whether no more may be read now: enough waits for a reader, or all that will be handed out is here. */
  #isFull(): boolean {
    if (this.#state.kind !== "reading") return false;
    // A reader that merely lets others have their turn has enough to take: else a flood would be read without bound.
    const sated = this.#waiter === null || this.#yielding;
    if (this.#drainOffset !== Infinity) return sated || this.#isDrained();
    return sated && this.heldBytes >= this.#options.highWaterBytes;
  }

  async #throttle(waitMs: number): Promise<void> {
    if (this.#state.kind !== "reading") return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(waitMs, MAX_TIMER_MS));
    this.#throttled = resolve;
    await promise;
    this.#throttled = null;
    clearTimeout(timer);
  }
}

function iteration(message: Uint8Array | null): IteratorResult<Uint8Array, undefined> {
  return message === null ? { value: undefined, done: true } : { value: message, done: false };
}

function secondReader(): TypeError {
  return new TypeError("Cannot receive as another reader waits on this connection: one reader at a time");
}

function readTimeout(timeoutMs: number): TimeoutError {
  return new TimeoutError("ERR_READ_TIMEOUT", `Cannot receive as no message came within ${timeoutMs} ms`);
}
