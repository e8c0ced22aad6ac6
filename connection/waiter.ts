// Waiter: one pending wait for a message, and how it may end early.
import { TimeoutError } from "../errors.ts";
import { checkDurationMs, checkSignal } from "../options/check.ts";
import type { MessageObserver } from "./types.ts";
import { checkWaitNames } from "../options/names.ts";

/** How a wait for a message may end early. */
export interface ReceiveOptions {
  /** Ends the wait; it rejects with the signal's reason. No message is lost by it. */
  signal?: AbortSignal | undefined;
  /** Longest wait in ms, 0 to not wait at all; then `ERR_READ_TIMEOUT`. @default {Infinity} */
  timeoutMs?: number | undefined;
}

/** The one wait that may be pending. */
export interface Waiter {
  /** Ends it with a message, or with `null` for the end. */
  deliver(message: Uint8Array | null): void;
  /** Ends it with an error. */
  fail(error: unknown): void;
}

/**
 * Returns a waiter that fails when `signal` aborts or the time is over; `onGiveUp` is called before
 * it fails then.
 */
export function boundedWaiter(
  waiter: Waiter,
  { signal, timeoutMs = Infinity, observer }: ReceiveOptions & {
    readonly observer?: MessageObserver | undefined;
  },
  onGiveUp: () => void,
): Waiter {
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
    deliver(message) {
      settle();
      waiter.deliver(message);
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
export function iteration(message: Uint8Array | null): IteratorResult<Uint8Array, undefined> {
  return message === null ? { value: undefined, done: true } : { value: message, done: false };
}

/** Makes what `for await` iterates over; leaving the loop ends nothing, and another one goes on. */
export function iterate<T>(
  next: () => Promise<IteratorResult<T, undefined>>,
): AsyncIterableIterator<T, undefined> {
  return {
    next,
    return: () => Promise.resolve({ value: undefined, done: true }),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
