// ReaderSlot: the one reader of a connection, which takes a message at once or waits for it.
import { setImmediate } from "node:timers";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import type { MessageConsumer } from "./claim.ts";
import { countTurn, TurnQuota } from "./turns.ts";
import type { MessageObserver } from "./types.ts";
import {
  boundedWaiter,
  checkReceive,
  checkReceiveBatch,
  iteration,
  IterationWaiter,
  type MessageSource,
  ONE_MESSAGE,
  type Portion,
  readTimeout,
  type ReceiveBatchOptions,
  type ReceiveOptions,
  secondReader,
  type Waiter,
  WHOLE_BATCH,
} from "./waiter.ts";

/**
 * Messages handed out in one turn of the event loop before others get theirs: chunks full of empty
 * messages must not hold up other connections. While turns are full the platform looks for new
 * bytes only every 61 turns, so a turn must be short.
 */
const MESSAGES_PER_TURN = 256;

/** Where the reader takes its messages. */
export interface ReaderSource extends MessageSource {
  /** The reader begins to wait. */
  onWait(): void;
  /** The reader waits no longer, and got no message. */
  onGivenUp(): void;
  /** Others have had their turn: the reader, if it waits still, can be settled. */
  onTurn(): void;
}

/**
 * Holds the one wait that may be pending, or the consumer that takes every message. Not for
 * concurrent use: a second reader beside one that waits is rejected, and any reader beside a consumer.
 */
export class ReaderSlot {
  readonly #source: ReaderSource;
  readonly #observer: MessageObserver | undefined;
  readonly #quota = new TurnQuota(MESSAGES_PER_TURN);
  // deno-lint-ignore no-explicit-any -- what it waits for is its own affair
  #waiter: Waiter<any> | null = null;
  #isYielding = false;
  #consumer: MessageConsumer | null = null;
  #feeder: Waiter<Uint8Array> | null = null;
  /** The consumer takes messages now, or has learned that no more come. */
  #isFed = false;

  constructor(source: ReaderSource, observer: MessageObserver | undefined) {
    this.#source = source;
    this.#observer = observer;
  }

  /** Whether a reader waits: for a message, or for others to have their turn. */
  get isWaiting(): boolean {
    return this.#waiter !== null;
  }

  /** Whether the consumer has something under way. */
  get isBusy(): boolean {
    return this.#consumer !== null && this.#consumer.isBusy;
  }

  /** Whether others have their turn before the next message. */
  get isYielding(): boolean {
    return this.#isYielding;
  }

  /** Resolves with the next message for iteration. */
  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#next(ONE_MESSAGE);
  }

  /** Resolves with the next batch for iteration. */
  nextBatch(): Promise<IteratorResult<Uint8Array[], undefined>> {
    return this.#next(WHOLE_BATCH);
  }

  #next<T>(portion: Portion<T>): Promise<IteratorResult<T, undefined>> {
    if (this.#isTaken) return rejected(this.#secondReader());
    try {
      const item = this.#quota.hasRoom ? this.#take(portion) : this.#yieldTurn();
      if (item !== undefined) return Promise.resolve(iteration(item));
    } catch (error) {
      return rejected(error);
    }
    const waiter = new IterationWaiter(portion);
    this.#wait(waiter);
    return waiter.promise;
  }

  /**
   * Resolves with the next message, or with `null` at the end.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    return this.#receive(options, oneMessage);
  }

  /**
   * Resolves with all whole messages that are here, at least one, or with `null` at the end.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  receiveBatch(options?: ReceiveBatchOptions): Promise<Uint8Array[] | null> {
    return this.#receive(options, wholeBatch);
  }

  #receive<T, Options extends ReceiveOptions>(
    options: Options | undefined,
    check: (options: Options | undefined) => Portion<T>,
  ): Promise<T | null> {
    const { signal, timeoutMs = Infinity } = options ?? {};
    if (signal?.aborted) return rejected(signal.reason);
    if (this.#isTaken) return rejected(this.#secondReader());
    let portion;
    try {
      portion = check(options);
      const now = timeoutMs === 0 || this.#quota.hasRoom;
      const item = now ? this.#take(portion) : this.#yieldTurn();
      if (item !== undefined) return Promise.resolve(item);
    } catch (error) {
      return rejected(error);
    }
    if (timeoutMs === 0) return rejected(readTimeout(0, this.#observer));
    const { promise, resolve, reject } = Promise.withResolvers<T | null>();
    const fail = (error: unknown) => {
      reject(error);
      ignoreRejection(promise);
    };
    const waiter: Waiter<T> = { portion, deliver: resolve, fail };
    const unbounded = signal === undefined && timeoutMs === Infinity;
    const bounds = { signal, timeoutMs, observer: this.#observer };
    this.#wait(unbounded ? waiter : boundedWaiter(waiter, bounds, () => this.#giveUp()));
    return promise;
  }

  /**
   * Passes what there is now to the reader that waits. Returns whether it waits on for a message
   * that is not here yet.
   */
  settle(): boolean {
    const waiter = this.#waiter;
    if (waiter === null || this.#isYielding) return false;
    // There is no waiter while a message is taken: whether more must be read depends on what is left.
    this.#waiter = null;
    try {
      const item = this.#take(waiter.portion);
      if (item === undefined) {
        this.#waiter = waiter;
        return true;
      }
      waiter.deliver(item);
    } catch (error) {
      waiter.fail(error);
    }
    return false;
  }

  /**
   * Delivers every message to `consumer` from the end of this run of code on.
   *
   * @throws {TypeError} when a reader waits, or there is a consumer
   */
  claim(consumer: MessageConsumer): void {
    if (this.#isTaken) throw this.#secondReader();
    this.#consumer = consumer;
    queueMicrotask(() => this.resume());
  }

  /** Lets the consumer end what is under way; `null` when there is nothing to wait for. */
  finish(): Promise<void> | null {
    return this.#consumer?.finish() ?? null;
  }

  /** Goes on to deliver messages to the consumer, which is ready again. */
  resume(): void {
    if (this.#waiter === null && !this.#isFed) this.#feed();
  }

  /** Delivers what there is to the consumer, and waits for more while the consumer is ready. */
  #feed(): void {
    const consumer = this.#consumer!;
    this.#isFed = true;
    while (consumer.isReady) {
      let message;
      try {
        message = this.#quota.hasRoom ? this.#take(ONE_MESSAGE) : this.#yieldTurn();
      } catch (error) {
        return consumer.onEnd(error);
      }
      if (message === null) return consumer.onEnd(null);
      if (message === undefined) {
        this.#isFed = false;
        return this.#wait(this.#feeder ??= this.#makeFeeder());
      }
      consumer.onMessage(message);
    }
    this.#isFed = false;
  }

  /** Makes what waits for the consumer. */
  #makeFeeder(): Waiter<Uint8Array> {
    const fail = (error: unknown) => {
      this.#isFed = true;
      this.#consumer!.onEnd(error);
    };
    return {
      portion: ONE_MESSAGE,
      deliver: (message) => {
        if (message === null) return fail(null);
        this.#isFed = true;
        this.#consumer!.onMessage(message);
        this.#feed();
      },
      fail,
    };
  }

  get #isTaken(): boolean {
    return this.#waiter !== null || this.#consumer !== null;
  }

  #secondReader(): TypeError {
    return this.#consumer === null ? secondReader() : new TypeError(this.#consumer.refusal);
  }

  #take<T>(portion: Portion<T>): T | null | undefined {
    return portion.take(this.#source, this.#quota);
  }

  #wait<T>(waiter: Waiter<T>): void {
    this.#waiter = waiter;
    this.#quota.renew();
    this.#source.onWait();
  }

  #giveUp(): void {
    this.#waiter = null;
    this.#source.onGivenUp();
  }

  /** Lets other connections have their turn before the next message. */
  #yieldTurn(): undefined {
    if (this.#isYielding) return;
    this.#isYielding = true;
    setImmediate(() => {
      countTurn();
      this.#quota.renew();
      this.#isYielding = false;
      this.#source.onTurn();
    });
  }
}

/** Checks the options of a wait for one message. */
function oneMessage(options: ReceiveOptions | undefined): Portion<Uint8Array> {
  if (options !== undefined) checkReceive(options);
  return ONE_MESSAGE;
}

/** Checks the options of a wait for a batch. */
function wholeBatch(options: ReceiveBatchOptions | undefined): Portion<Uint8Array[]> {
  return options === undefined ? WHOLE_BATCH : checkReceiveBatch(options);
}
