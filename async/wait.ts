// Waits that end early: by a signal or after a time, leaving no listener and no timer behind.
import type { Clock } from "./clock.ts";
import { checkSignal } from "../options/check.ts";
import { checkWaitNames } from "../options/names.ts";

/** How a wait may end early. */
export interface WaitOptions {
  /** Ends the wait; it rejects with `signal.reason` itself. */
  signal?: AbortSignal | undefined;
  /** Ends the wait after so many milliseconds with a `TimeoutError`. @default {no limit} */
  timeoutMs?: number | undefined;
}

/** What {@linkcode watchWait} needs beside the options. */
export interface WaitHooks {
  /** Where the time comes from. */
  readonly clock: Clock;
  /** Ends the wait with the given error. Called at most once, never from within {@linkcode watchWait}. */
  readonly cancel: (error: unknown) => void;
  /** Makes the error of a wait that took too long. */
  readonly timeout: (timeoutMs: number) => Error;
}

function nothing(): void {}

/**
 * Watches over a wait that has begun; the result must be called when it ends by itself. Check
 * `options.signal.aborted` before.
 */
export function watchWait(options: WaitOptions, { clock, cancel, timeout }: WaitHooks): () => void {
  const { signal, timeoutMs } = options;
  if (signal === undefined && timeoutMs === undefined) return nothing;
  const onAbort = () => end(signal?.reason);
  const stopTimer = timeoutMs === undefined ? nothing : clock.after(timeoutMs, () => end(timeout(timeoutMs)));
  signal?.addEventListener("abort", onAbort, { once: true });
  const stop = () => {
    stopTimer();
    signal?.removeEventListener("abort", onAbort);
  };
  const end = (error: unknown) => {
    stop();
    cancel(error);
  };
  return stop;
}

/** Checks {@linkcode WaitOptions} before any I/O. */
export function checkWait(what: string, options: WaitOptions): void {
  checkWaitNames(`Cannot ${what}`, options);
  const { signal, timeoutMs } = options;
  checkSignal(`Cannot ${what}`, signal);
  if (timeoutMs === undefined || (timeoutMs >= 0 && timeoutMs <= 0x7fffffff)) return;
  throw new RangeError(
    `Cannot ${what}: "timeoutMs" must be 0 to 2147483647, current value is ${timeoutMs}`,
  );
}
