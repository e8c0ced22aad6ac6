// Inbox: reads ahead within a bound, decodes on demand, hands messages to one reader at a time.
import { setImmediate } from "node:timers";
import type { FrameDecoder } from "../framing.ts";
import type { Transport } from "../net/transport/transport.ts";
import { Arrivals } from "./arrivals.ts";
import type { InboxOptions, InboxState } from "./inbox_types.ts";
import { RateWait } from "./rate_wait.ts";
import { Received, type Rest } from "./received.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { countTurn, TurnQuota } from "./turns.ts";
import { boundedWaiter, checkReceive, iteration, readTimeout, secondReader, type Waiter } from "./waiter.ts";
import type { ReceiveOptions } from "./waiter.ts";

export type { ReceiveOptions } from "./waiter.ts";

/**
 * Messages delivered in one turn of the event loop: chunks full of empty messages must not delay other
 * connections. While turns are full the platform looks for bytes only every 61 turns: a turn must be short.
 */
const MESSAGES_PER_TURN = 256;

/** Outcome of `take`: no complete message is here yet. */
const NONE = undefined;

/** The reading half of a connection. */
export class Inbox {
  readonly #transport: Transport;
  readonly #options: InboxOptions;
  readonly #received: Received;
  /** The message that waits for a rate limit; `null` where there is no limit. */
  readonly #rate: RateWait | null;
  #state: InboxState = { kind: "reading" };
  #waiter: Waiter | null = null;
  /** Wakes the reading loop when it waits for room. */
  #room: (() => void) | null = null;
  readonly #quota = new TurnQuota(MESSAGES_PER_TURN);
  /** Whether a read is under way. */
  #readsNow = false;
  /** Whether the reader waits for others to have their turn, not for bytes. */
  #yielding = false;
  /** Reads what had arrived when `drain` was called. */
  #arrivals: Arrivals | null = null;
  /** Whether bytes that had arrived may have been left when that was decided. */
  #leavesSome = false;
  /** Bytes that came and were thrown away although they may have arrived before `drain` was called. */
  leftBytes = 0;
  /** Messages handed out. */
  messagesIn = 0;
  /** Bytes read. */
  bytesIn = 0;

  constructor(transport: Transport, makeDecoder: () => FrameDecoder, options: InboxOptions) {
    this.#transport = transport;
    this.#received = new Received(makeDecoder, options.observer);
    this.#options = options;
    const { rateGate: gate, idleTimeoutMs } = options;
    this.#rate = gate === undefined ? null : new RateWait({
      gate,
      idleTimeoutMs,
      onPause: () => this.#onRatePause(),
      onPassed: () => this.#settleWaiter(),
      onLate: () => this.#dropRest(),
    });
  }

  /** Starts to read. It never rejects. */
  start(): void {
    void this.#read();
  }

  /** Bytes received and not yet handed out. */
  get heldBytes(): number {
    return this.#received.heldBytes + (this.#rate?.heldBytes ?? 0);
  }

  /** Whether a message has begun whose rest we wait for. */
  get waitsForRest(): boolean {
    return this.#waiter !== null && this.#received.heldBytes > 0 && !this.keepsRate;
  }

  /** Whether we make the peer wait, to keep a rate. */
  get keepsRate(): boolean {
    return this.#rate !== null && this.#rate.waiting;
  }

  /** Whether we would accept bytes: no reader pauses, no rate holds the peer back, its direction is open. */
  get isReading(): boolean {
    const { kind } = this.#state;
    return (kind === "reading" || kind === "discarding") && this.#room === null && !this.keepsRate;
  }

  /** Whether a message that waits for a rate limit keeps the process alive. */
  setReferenced(isReferenced: boolean): void {
    this.#rate?.setReferenced(isReferenced);
  }

  /** Decodes from the next message on with other decoders. */
  setDecoder(makeDecoder: () => FrameDecoder): void {
    this.#received.setDecoder(makeDecoder);
    this.#settleWaiter();
  }

  /** Reads what has arrived, hands it out up to the end of a message that has begun, and then ends. */
  drain(): void {
    if (this.#arrivals !== null || this.#state.kind !== "reading") return;
    const arrivals = this.#arrivals = new Arrivals((isAll) => {
      this.#leavesSome = !isAll;
      this.#received.endHere();
      this.#settleWaiter();
    });
    if (this.#readsNow) arrivals.waits();
  }

  /** Hands out what was received and then ends; what comes from now on is read and thrown away. */
  discard(): void {
    if (this.#state.kind !== "reading") return;
    this.#state = { kind: "discarding" };
    this.#stopReading();
    this.#settleWaiter();
  }

  /** Hands out what was received, and then rejects with `error`, or reports the end for `null`. */
  end(error: Error | null): void {
    if (this.#state.kind === "ended" || this.#state.kind === "cut") return;
    const truncatable = error === null && this.#state.kind !== "discarding";
    this.#state = { kind: "ended", error, truncatable };
    this.#stopReading();
    if (this.#waiter === null) this.#rate?.rest();
    this.#settleWaiter();
  }

  /** Drops what was received: every reader gets `error`. */
  cut(error: Error): void {
    if (this.#state.kind === "cut") return;
    this.#cut(error);
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
        ignoreRejection(promise);
      },
    });
    return promise;
  }

  /**
   * The next message, or `null` at the end.
   *
   * @throws {TypeError | RangeError} when `timeoutMs` is no duration
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    const { signal, timeoutMs = Infinity } = options ?? {};
    if (signal?.aborted) return rejected(signal.reason);
    if (this.#waiter !== null) return rejected(secondReader());
    try {
      if (options !== undefined) checkReceive(options);
      const now = timeoutMs === 0 || this.#quota.hasRoom;
      const message = now ? this.#take() : this.#yieldTurn();
      if (message !== NONE) return Promise.resolve(message);
    } catch (error) {
      return rejected(error);
    }
    if (timeoutMs === 0) return rejected(readTimeout(0, this.#options.observer));
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    const fail = (error: unknown) => {
      reject(error);
      ignoreRejection(promise);
    };
    const waiter: Waiter = { deliver: resolve, fail };
    const unbounded = signal === undefined && timeoutMs === Infinity;
    // The message then waits for the next reader.
    const bounds = { signal, timeoutMs, observer: this.#options.observer };
    this.#wait(unbounded ? waiter : boundedWaiter(waiter, bounds, () => this.#onGivenUp()));
    return promise;
  }

  #onGivenUp(): void {
    this.#waiter = null;
    if (this.#state.kind === "ended") this.#rate?.rest();
  }

  #wait(waiter: Waiter): void {
    this.#waiter = waiter;
    this.#quota.renew();
    if (!this.#isFull()) this.#openRoom();
    if (!this.#yielding && !this.keepsRate) this.#options.observer?.waits();
    this.#options.onIdle();
  }

  /** A message, `null` at the end, or `NONE`. Throws what ended the connection. */
  #take(): Uint8Array | null | undefined {
    const state = this.#state;
    if (state.kind === "cut") throw state.error;
    const message = this.#rate === null ? this.#decode() : this.#passing(this.#rate);
    if (message !== undefined) {
      this.messagesIn++;
      this.#quota.spend();
      if (this.#room !== null && !this.#isFull()) this.#openRoom();
      return message;
    }
    if (this.#isDrained()) return null;
    switch (state.kind) {
      case "reading":
        return NONE;
      case "discarding":
        return this.keepsRate ? NONE : null;
      case "ended":
        if (this.keepsRate) return this.#judgeRest(this.#rate!);
        if (state.error !== null) throw state.error;
        if (state.truncatable) this.#checkWhole();
        return null;
    }
  }

  #passing(rate: RateWait): Uint8Array | undefined {
    if (rate.holds) return rate.take();
    const message = this.#decode();
    return message === undefined || rate.pass(message) ? message : undefined;
  }

  /** The peer has left, and a message waits for a rate limit. Throws when the rest would take too long. */
  #judgeRest(rate: RateWait): undefined {
    const late = rate.judgeRest(() => this.#countRest());
    if (late === null) return NONE;
    this.#fail(late);
    throw late;
  }

  #onRatePause(): void {
    this.#options.onRatePause?.();
    // There may be a reason now to look how the peer is.
    this.#openRoom();
  }

  #dropRest(): void {
    this.#fail(this.#rate!.lateError(this.#countRest()));
    this.#settleWaiter();
  }

  /** Whole messages that were received and not handed out. */
  #countRest(): Rest {
    const { messages, bytes } = this.#received.count();
    return { messages: messages + (this.#holdsMessage ? 1 : 0), bytes: bytes + this.#rate!.heldBytes };
  }

  /** Whether all was handed out that began before the end of a drain. */
  #isDrained(): boolean {
    return this.#received.isOver && !this.#holdsMessage;
  }

  get #holdsMessage(): boolean {
    return this.#rate !== null && this.#rate.holds;
  }

  /** Decodes one message; bytes that are none end the input. */
  #decode(): Uint8Array | undefined {
    try {
      return this.#received.next();
    } catch (error) {
      throw this.#malformed(error as Error);
    }
  }

  /** Fails when the input ended inside a message. */
  #checkWhole(): void {
    try {
      this.#received.checkWhole();
    } catch (error) {
      throw this.#malformed(error as Error);
    }
  }

  /** What came is no message. */
  #malformed(error: Error): Error {
    if (this.messagesIn === 0) this.#received.explain(error);
    this.#fail(error);
    return error;
  }

  #fail(error: Error): void {
    this.#cut(error);
    this.#options.onFault(error);
  }

  #cut(error: Error): void {
    this.#state = { kind: "cut", error };
    this.#rate?.drop();
    this.#stopReading();
  }

  /** Passes what there is now to the waiting reader. */
  #settleWaiter(): void {
    const waiter = this.#waiter;
    if (waiter === null || this.#yielding) return;
    // There is no waiter while a message is taken: whether more must be read depends on what is left.
    this.#waiter = null;
    try {
      const message = this.#take();
      if (message !== NONE) return waiter.deliver(message);
      this.#waiter = waiter;
      // More bytes are needed: the reading loop may have stopped while the reader let others have their turn.
      if (!this.#isFull()) this.#openRoom();
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

  /** What comes is not kept any more. */
  #stopReading(): void {
    this.#arrivals?.stop();
    this.#rate?.giveBack();
    this.#openRoom();
  }

  /** Reads until the input ends. It never rejects. */
  async #read(): Promise<void> {
    const { onRead, onEnd } = this.#options;
    try {
      for (;;) {
        this.#readsNow = true;
        this.#arrivals?.waits();
        const chunk = await this.#transport.read();
        this.#readsNow = false;
        if (chunk === null) break;
        this.bytesIn += chunk.length;
        onRead();
        this.#keep(chunk);
        if (!this.#isFull()) this.#rate?.giveBack();
        while (this.#isFull() && !this.#looksAhead()) {
          await new Promise<void>((resolve) => this.#room = resolve);
        }
      }
      this.end(null);
      onEnd(null);
    } catch (error) {
      this.end(error as Error);
      onEnd(error as Error);
    }
  }

  /** Takes what was read, unless it comes too late. */
  #keep(chunk: Uint8Array): void {
    if (this.#state.kind !== "reading" || this.#isDrained()) {
      if (this.#leavesSome) this.leftBytes += chunk.length;
      return;
    }
    this.#received.push(chunk);
    this.#arrivals?.came(chunk.length);
    if (this.#waiter !== null) this.#settleWaiter();
  }

  /** Whether to read on although enough is here, by what messages took so far. */
  #looksAhead(): boolean {
    if (this.#rate === null || this.#received.hasEnd) return false;
    const { heldBytes: bytes, decodedBytes } = this.#received;
    const frameBytes = Math.max(1, decodedBytes / (this.messagesIn + 1));
    const overBytes = this.heldBytes - this.#options.highWaterBytes;
    return this.#rate.looksAhead({ messages: Math.floor(bytes / frameBytes), bytes }, overBytes);
  }

  /** Whether no more may be read now: enough waits for a reader, or all that will be handed out is here. */
  #isFull(): boolean {
    if (this.#state.kind !== "reading") return false;
    // A reader that waits for a limit or for its turn has enough: else a flood would be read without bound.
    const sated = this.#waiter === null || this.#yielding || this.keepsRate;
    if (this.#received.hasEnd) return sated || this.#isDrained();
    return sated && this.heldBytes >= this.#options.highWaterBytes;
  }
}
