// Deadlines: one time limit and one signal over several waits.
import { checkWait, type WaitOptions } from "./wait.ts";

/** How long a piece of work may take. */
export interface Deadline {
  /** Ends it from outside. */
  readonly signal?: AbortSignal | undefined;
  /** Time for all of it, in milliseconds. */
  readonly timeoutMs: number;
  /** Makes the error of work that took too long. */
  readonly late: (timeoutMs: number) => Error;
}

/**
 * Runs `work` under one deadline. Its signal aborts with what ended the wait; work that does not listen to it is
 * left behind, so it must not be a promise that outlives many waits: those use `Waiters`. No timer and no
 * listener stays.
 */
export async function withDeadline<T>(
  { signal, timeoutMs, late }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => {});
  const end = (reason: unknown) => {
    controller.abort(reason);
    reject(reason);
  };
  const onAbort = () => end(signal?.reason);
  const timer = setTimeout(() => end(late(timeoutMs)), timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const working = work(controller.signal);
    working.catch(() => {});
    return await Promise.race([working, ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Fills in the time limit of a wait, and checks it before any I/O. */
export function timeLimit(action: string, options: WaitOptions, fallbackMs: number): number {
  checkWait(action, options);
  return options.timeoutMs ?? fallbackMs;
}

/** What is left of `timeoutMs` since `startedMs` by `performance.now`: whole milliseconds, 1 at least. */
export function timeLeft(timeoutMs: number, startedMs: number): number {
  return Math.max(1, Math.ceil(timeoutMs - (performance.now() - startedMs)));
}
