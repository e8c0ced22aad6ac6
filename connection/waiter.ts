// Waiter: one pending wait for messages, what it takes, and how it may end early.
import { ignoreRejection } from "../async/rejections.ts";
import { TimeoutError } from "../errors.ts";
import { checkDurationMs, checkInteger, checkSignal } from "../options/check.ts";
import type { TurnQuota } from "./turns.ts";
import type { MessageObserver } from "./types.ts";
import { checkOptionNames, checkWaitNames, type OptionNames } from "../options/names.ts";

const BATCH_NAMES: OptionNames<ReceiveBatchOptions> = {
  signal: true,
  timeoutMs: true,
  maxMessages: true,
};

/** How a wait for a message may end early. */
export interface ReceiveOptions {
  /** Ends the wait; it rejects with the signal's reason. No message is lost by it. */
  signal?: AbortSignal | undefined;
  /** Longest wait in ms, 0 to not wait at all; then `ERR_READ_TIMEOUT`. @default {Infinity} */
  timeoutMs?: number | undefined;
}

/** How a wait for a batch of messages may end early, and how large the batch may be. */
export interface ReceiveBatchOptions extends ReceiveOptions {
  /** Most messages in the batch, 1 and more. @default {Infinity: all that one turn allows} */
  maxMessages?: number | undefined;
}

/** Where messages are taken: one alone, or all that are whole, up to a number. */
export interface MessageSource {
  /**
   * Returns a message, `null` at the end, or `undefined` when none is complete. Throws what ended
   * the connection.
   */
  take(): Uint8Array | null | undefined;
  /** The same for one to `most` messages. */
  takeBatch(most: number): Uint8Array[] | null | undefined;
}

/** What a reader takes at once: a message, or a batch of them. */
export interface Portion<T> {
  /** Takes it, and counts it in `quota`: `null` at the end, `undefined` when there is none now. */
  take(source: MessageSource, quota: TurnQuota): T | null | undefined;
}

/** A message alone. */
export const ONE_MESSAGE: Portion<Uint8Array> = {
  take(source, quota) {
    const message = source.take();
    if (message !== undefined && message !== null) quota.spend(1);
    return message;
  },
};

/** All whole messages that are here, as many as a turn allows; and `most` at most. */
export class Batch implements Portion<Uint8Array[]> {
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  take(source: MessageSource, quota: TurnQuota): Uint8Array[] | null | undefined {
    // Only a reader that does not wait comes here without room: it gets one after the other then.
    const batch = source.takeBatch(Math.min(this.#most, Math.max(1, quota.left)));
    if (batch !== undefined && batch !== null) quota.spend(batch.length);
    return batch;
  }
}

/** The batches of a reader that sets no bound. */
export const WHOLE_BATCH: Batch = new Batch(Infinity);

/** The one wait that may be pending, for a `T`. */
export interface Waiter<T> {
  /** What it takes. */
  readonly portion: Portion<T>;
  /** Ends it with a message or a batch, or with `null` for the end. */
  deliver(item: T | null): void;
  /** Ends it with an error. */
  fail(error: unknown): void;
}

/**
 * Returns a waiter that fails when `signal` aborts or the time is over; `onGiveUp` is called before
 * it fails then.
 */
export function boundedWaiter<T>(
  waiter: Waiter<T>,
  { signal, timeoutMs = Infinity, observer }: ReceiveOptions & {
    readonly observer?: MessageObserver | undefined;
  },
  onGiveUp: () => void,
): Waiter<T> {
  const settle = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  const giveUp = (error: unknown) => {
    settle();
    onGiveUp();
    waiter.fail(error);
  };
  const onAbort = () => giveUp(signal?.reason);
  const timer = timeoutMs === Infinity
    ? undefined
    : setTimeout(() => giveUp(readTimeout(timeoutMs, observer)), timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  return {
    portion: waiter.portion,
    deliver(item) {
      settle();
      waiter.deliver(item);
    },
    fail(error) {
      settle();
      waiter.fail(error);
    },
  };
}

/**
 * Checks the options of a wait.
 *
 * @throws {TypeError | RangeError} when one is wrong, or there is no such option
 */
export function checkReceive(options: ReceiveOptions): void {
  checkWaitNames("Cannot receive", options);
  const { signal, timeoutMs = Infinity } = options;
  checkSignal("Cannot receive", signal);
  checkDurationMs("Cannot receive", "timeoutMs", timeoutMs, { minMs: 0, allowInfinity: true });
}

/**
 * Checks the options of a wait for a batch, and returns the portion that they ask for.
 *
 * @throws {TypeError | RangeError} when one is wrong, or there is no such option
 */
export function checkReceiveBatch(options: ReceiveBatchOptions): Batch {
  checkOptionNames("Cannot receive", options, BATCH_NAMES);
  const { maxMessages = Infinity, ...wait } = options;
  checkReceive(wait);
  if (maxMessages === Infinity) return WHOLE_BATCH;
  return new Batch(checkInteger("Cannot receive", "maxMessages", maxMessages, 1, 2 ** 31));
}

/** The error of a wait whose time is over. */
export function readTimeout(timeoutMs: number, observer?: MessageObserver): TimeoutError {
  const text = `Cannot receive: no message came within ${timeoutMs} ms`;
  const error = new TimeoutError("ERR_READ_TIMEOUT", text);
  observer?.timedOut(error);
  return error;
}

/** The error of a second wait beside one that is pending. */
export function secondReader(): TypeError {
  return new TypeError(
    "Cannot receive: another reader waits on this connection: one reader at a time",
  );
}

/** The result of an iteration: `null` is its end. */
export function iteration<T>(item: T | null): IteratorResult<T, undefined> {
  return item === null ? { value: undefined, done: true } : { value: item, done: false };
}

/** The wait of an iteration: one object and its promise, because each idle connection has one. */
export class IterationWaiter<T> implements Waiter<T> {
  readonly portion: Portion<T>;
  /** Resolves with the result of the iteration. */
  readonly promise: Promise<IteratorResult<T, undefined>>;
  readonly #resolve: (result: IteratorResult<T, undefined>) => void;
  readonly #reject: (error: unknown) => void;

  constructor(portion: Portion<T>) {
    this.portion = portion;
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  deliver(item: T | null): void {
    this.#resolve(iteration(item));
  }

  fail(error: unknown): void {
    this.#reject(error);
    ignoreRejection(this.promise);
  }
}

/** Makes what `for await` iterates over; leaving the loop ends nothing, and another one goes on. */
export function iterate<T>(
  next: () => Promise<IteratorResult<T, undefined>>,
): AsyncIterableIterator<T, undefined> {
  return new Iteration(next);
}

class Iteration<T> implements AsyncIterableIterator<T, undefined> {
  readonly #next: () => Promise<IteratorResult<T, undefined>>;

  constructor(next: () => Promise<IteratorResult<T, undefined>>) {
    this.#next = next;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#next();
  }

  return(): Promise<IteratorResult<T, undefined>> {
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
