// Inbox: reads ahead within a bound, decodes on demand, hands messages to one reader at a time.
import { setImmediate } from "node:timers";
import { TimeoutError } from "../errors.ts";
import type { FrameDecoder } from "../framing.ts";
import { MAX_TIMER_MS } from "../limits/check.ts";
import type { Transport } from "../net/transport.ts";

/**
 * Messages handed out in one turn of the event loop before others get theirs: a chunk full of empty messages must
 * not hold up other connections.
 */
const MESSAGES_PER_TURN = 2048;

/** How a wait for a message may end early. */
export interface ReceiveOptions {
  /** Ends the wait; it rejects with the signal's reason. No message is lost by it. */
  signal?: AbortSignal;
  /** Longest wait in ms, 0 to not wait at all; then `ERR_READ_TIMEOUT`. @default {no limit} */
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
  /** Called when no more bytes come or can be used: `null` at an orderly end. May be called again when the end shows a cut message. */
  readonly onEnd: (error: Error | null) => void;
}

/** The one wait that may be pending. */
interface Waiter {
  deliver(message: Uint8Array | null): void;
  fail(error: unknown): void;
}

/**
 * ```
 * reading ──drain()──▶ draining ──discard()──▶ discarding ──▶ ended      no more bytes come
 *    └──────────────────discard()─────────────────▲            └─▶ cut   what was received is dropped as well
 * ```
 */
type State =
  | { readonly kind: "reading" }
  /** What was received is handed out, up to the end of a message that has begun (the boundary). */
  | { readonly kind: "draining"; boundary: "unknown" | "awaited" | "reached" }
  /** What was received is handed out; what comes now is read and thrown away, so that the peer is not reset. */
  | { readonly kind: "discarding" }
  /** No more bytes come; what was received is handed out, then the error or the end. */
  | { readonly kind: "ended"; readonly error: Error | null; readonly truncatable: boolean }
  /** Nothing is handed out any more. */
  | { readonly kind: "cut"; readonly error: unknown };

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
  #handedThisTurn = 0;
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
    return this.#waiter !== null && this.#decoder.heldBytes > 0;
  }

  /** Decodes from the next message on with another decoder. */
  setDecoder(decoder: FrameDecoder): void {
    const rest = this.#decoder.takeRest();
    decoder.push(rest);
    this.#decoder = decoder;
  }

  /** Hands out what was received, up to the end of a message that has begun, and then ends. */
  drain(): void {
    if (this.#state.kind !== "reading") return;
    this.#state = { kind: "draining", boundary: "unknown" };
    this.#settleWaiter();
  }

  /** Hands out what was received and then ends; what comes from now on is read and thrown away. */
  discard(): void {
    if (this.#state.kind !== "reading" && this.#state.kind !== "draining") return;
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

  /** Drops what was received: every reader gets `error`, or the end for `null`. */
  cut(error: unknown): void {
    if (this.#state.kind === "cut") return;
    this.#state = { kind: "cut", error };
    this.#wake();
    this.#settleWaiter();
  }

  /** The next message for iteration. */
  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#waiter !== null) return Promise.reject(secondReader());
    try {
      const message = this.#handedThisTurn < MESSAGES_PER_TURN ? this.#take() : this.#yieldTurn();
      if (message !== NONE) return Promise.resolve(iteration(message));
    } catch (error) {
      return Promise.reject(error);
    }
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array, undefined>>();
    this.#wait({ deliver: (message) => resolve(iteration(message)), fail: reject });
    return promise;
  }

  /** The next message, or `null` at the end. */
  receive(options: ReceiveOptions = {}): Promise<Uint8Array | null> {
    const { signal, timeoutMs } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#waiter !== null) return Promise.reject(secondReader());
    try {
      const now = timeoutMs === 0 || this.#handedThisTurn < MESSAGES_PER_TURN;
      const message = now ? this.#take() : this.#yieldTurn();
      if (message !== NONE) return Promise.resolve(message);
    } catch (error) {
      return Promise.reject(error);
    }
    if (timeoutMs === 0) return Promise.reject(readTimeout(0));
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    if (signal === undefined && timeoutMs === undefined) this.#wait({ deliver: resolve, fail: reject });
    else this.#wait(this.#bounded(resolve, reject, signal, timeoutMs));
    return promise;
  }

  /** A waiter that gives up when `signal` aborts or the time is over; the message then waits for the next reader. */
  #bounded(
    resolve: (message: Uint8Array | null) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
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
    const timer = timeoutMs === undefined
      ? undefined
      : setTimeout(() => giveUp(readTimeout(timeoutMs)), Math.min(timeoutMs, MAX_TIMER_MS));
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
    this.#openRoom();
    this.#options.onIdle();
  }

  /** A message, `null` at the end, or `NONE`. Throws what ended the connection. */
  #take(): Uint8Array | null | undefined {
    const state = this.#state;
    if (state.kind === "cut") {
      if (state.error !== null) throw state.error;
      return null;
    }
    const message = this.#decode();
    if (message !== undefined) {
      this.messagesIn++;
      this.#handedThisTurn++;
      if (state.kind === "draining" && state.boundary === "awaited") state.boundary = "reached";
      if (this.#room !== null && this.#decoder.heldBytes < this.#options.highWaterBytes) this.#openRoom();
      return message;
    }
    switch (state.kind) {
      case "reading":
        return NONE;
      case "draining":
        if (state.boundary === "reached" || this.#decoder.heldBytes === 0) return null;
        state.boundary = "awaited";
        return NONE;
      case "discarding":
        return null;
      case "ended":
        if (state.error !== null) throw state.error;
        if (state.truncatable) this.#checkWhole();
        return null;
    }
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
    this.#state = { kind: "cut", error };
    this.#wake();
    this.#options.onEnd(error);
  }

  /** Gives the waiting reader what there is now. */
  #settleWaiter(): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    try {
      const message = this.#take();
      if (message === NONE) return;
      this.#waiter = null;
      waiter.deliver(message);
    } catch (error) {
      this.#waiter = null;
      waiter.fail(error);
    }
  }

  /** Lets other connections have their turn before the next message. */
  #yieldTurn(): undefined {
    this.#handedThisTurn = 0;
    setImmediate(() => this.#settleWaiter());
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
    const { highWaterBytes, onRead, onEnd } = this.#options;
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null) break;
        this.bytesIn += chunk.length;
        const waitMs = onRead(chunk.length);
        if (this.#state.kind === "reading" || this.#state.kind === "draining") {
          this.#decoder.push(chunk);
          if (this.#waiter !== null) this.#settleWaiter();
        }
        if (waitMs > 0) await this.#throttle(waitMs);
        if (this.#isFull(highWaterBytes)) await new Promise<void>((resolve) => this.#room = resolve);
      }
      this.end(null);
      onEnd(null);
    } catch (error) {
      this.end(error as Error);
      onEnd(error as Error);
    }
  }

  #isFull(highWaterBytes: number): boolean {
    return this.#waiter === null && this.#decoder.heldBytes >= highWaterBytes &&
      (this.#state.kind === "reading" || this.#state.kind === "draining");
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
