// watchWait(): ends a wait early, by a signal or after a time, and leaves no listener and no timer behind.
import { checkSignal } from "../options/check.ts";
import { checkWaitNames } from "../options/names.ts";
import { type Clock, systemClock } from "./clock.ts";

/** How a wait may end early. */
export interface WaitOptions {
  /** Ends the wait; it rejects with `signal.reason` itself. */
  signal?: AbortSignal | undefined;
  /** Ends the wait after so many milliseconds with a `TimeoutError`. @default {no limit} */
  timeoutMs?: number | undefined;
}

/** What {@linkcode watchWait} needs beside the options. */
export interface WaitHooks {
  /** Where the time comes from. @default {the clock of the machine} */
  readonly clock?: Clock | undefined;
  /**
   * Ends the wait: takes `signal.reason`, or what `timeout` made. Called at most once, and never from within
   * {@linkcode watchWait}.
   */
  readonly cancel: (reason: unknown) => void;
  /** Makes the reason of a wait that took too long. @default {the reason is `undefined`} */
  readonly timeout?: ((timeoutMs: number) => unknown) | undefined;
}

function nothing(): void {}

/**
 * Watches over a wait that has begun, and calls `cancel` when its signal aborts or its time is
 * over. The caller must call the result when the wait ends by itself; it may be called more than
 * once. A signal that has aborted before is not seen: check `options.signal.aborted` first.
 * `Infinity` is no time limit.
 *
 * All waits that end early are built on this function, so that no other code pairs a timer with an
 * abort listener.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const controller = new AbortController();
 * const reasons: unknown[] = [];
 * const stop = watchWait({ signal: controller.signal, timeoutMs: 60_000 }, {
 *   cancel: (reason) => reasons.push(reason),
 *   timeout: (ms) => new Error(`Not done within ${ms} ms`),
 * });
 * controller.abort("enough");
 * stop();
 * assertEquals(reasons, ["enough"]);
 * ```
 */
export function watchWait(options: WaitOptions, hooks: WaitHooks): () => void {
  const { signal, timeoutMs = Infinity } = options;
  if (signal === undefined && timeoutMs === Infinity) return nothing;
  const { clock = systemClock, cancel, timeout } = hooks;
  const onAbort = () => end(signal?.reason);
  const stopTimer = timeoutMs === Infinity
    ? nothing
    : clock.after(timeoutMs, () => end(timeout?.(timeoutMs)));
  signal?.addEventListener("abort", onAbort, { once: true });
  const stop = () => {
    stopTimer();
    signal?.removeEventListener("abort", onAbort);
  };
  const end = (reason: unknown) => {
    stop();
    cancel(reason);
  };
  return stop;
}

/**
 * Checks {@linkcode WaitOptions} before any I/O.
 *
 * @param what the action, such as "receive": errors begin with `Cannot receive`
 * @throws {TypeError} when there is no such option, or `signal` is none
 * @throws {RangeError} when `timeoutMs` is out of range
 */
export function checkWait(what: string, options: WaitOptions): void {
  checkWaitNames(`Cannot ${what}`, options);
  const { signal, timeoutMs } = options;
  checkSignal(`Cannot ${what}`, signal);
  if (timeoutMs === undefined || (timeoutMs >= 0 && timeoutMs <= 0x7fffffff)) return;
  throw new RangeError(
    `Cannot ${what}: "timeoutMs" must be 0 to 2147483647, current value is ${timeoutMs}`,
  );
}
