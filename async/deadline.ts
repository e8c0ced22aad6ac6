// Deadlines: withDeadline() limits work by a signal and a time, and closes what the work makes too late.
import { systemClock } from "./clock.ts";
import { checkWait, type WaitOptions, watchWait } from "./wait.ts";
import { waitAtMost } from "./wait_at_most.ts";

/** How long work may take. */
export interface Deadline {
  /** Ends the work from outside. @default {no signal} */
  readonly signal?: AbortSignal | undefined;
  /** Longest time for all of the work, in milliseconds. @default {no limit; `Infinity` is none either} */
  readonly timeoutMs?: number | undefined;
  /** Makes the error of work that took too long. @default {the reason is an `AbortError`} */
  readonly late?: ((timeoutMs: number) => unknown) | undefined;
}

/** A deadline for work that makes something which must be closed. */
export interface DeadlineOptions<T> extends Deadline {
  /** Makes the error of work that took too long. */
  readonly late: (timeoutMs: number) => unknown;
  /**
   * Takes what the work makes after its deadline, to close it: the caller never sees it.
   * @default {drops it}
   */
  readonly discard?: ((late: T) => void) | undefined;
}

/**
 * Runs `work` under one deadline, and rejects when the deadline ends it, whether the work has
 * stopped by then or not. The signal that the work gets aborts with the same reason. No timer and
 * no listener stays.
 *
 * Work that does not listen to the signal is left behind. It must not be a promise that outlives
 * many waits, because that would keep a reaction of each: `Waiters` are for those. Work that must
 * have ended when the caller goes on takes the signal of a {@linkcode DeadlineSignal} in place of
 * this function.
 *
 * @throws `signal.reason` when the signal aborts first, what `late` makes when the time is over
 * first, and otherwise what `work` throws
 *
 * @example
 * ```ts
 * import { assertRejects } from "@std/assert";
 * import { TimeoutError } from "@parley/parley";
 *
 * const late = (ms: number) => new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot connect within ${ms} ms`);
 * await assertRejects(
 *   () => withDeadline({ timeoutMs: 1, late }, () => new Promise<void>(() => {})),
 *   TimeoutError,
 *   "Cannot connect within 1 ms",
 * );
 * ```
 */
export async function withDeadline<T>(
  options: DeadlineOptions<T>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const deadline = new DeadlineSignal(options);
  try {
    return await unlessAborted(work(deadline.signal), deadline.signal, options.discard);
  } finally {
    deadline.stop();
  }
}

/**
 * A signal that aborts when another one does, or after a time. Its creator must stop it, because
 * its timer would keep the process alive.
 */
export class DeadlineSignal implements Disposable {
  /** Aborts at the deadline, with the reason of the other signal or with what `late` made. */
  readonly signal: AbortSignal;
  readonly #stop: () => void;

  /** Begins to count the time. */
  constructor({ signal, timeoutMs, late }: Deadline) {
    const controller = new AbortController();
    this.signal = controller.signal;
    if (signal?.aborted) controller.abort(signal.reason);
    this.#stop = signal?.aborted ? () => {} : watchWait({ signal, timeoutMs }, {
      cancel: (reason) => controller.abort(reason),
      timeout: late,
    });
  }

  /** Lifts the deadline. A signal that has aborted stays so. Idempotent. */
  stop(): void {
    this.#stop();
  }

  /** The same as {@linkcode stop}. */
  [Symbol.dispose](): void {
    this.#stop();
  }
}

/**
 * Waits for `work`, or for the abort of `signal`, whichever comes first. For work that cannot be ended.
 *
 * @param discard takes what `work` makes after the abort, because the caller never sees it: a
 * socket that comes up late must be closed
 * @throws `signal.reason` when the signal aborts first, and otherwise what `work` rejects with
 */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  discard: (late: T) => void = () => {},
): Promise<T> {
  if (signal === undefined) return work;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let isOver = signal.aborted;
  const cancel = (reason: unknown) => {
    isOver = true;
    reject(reason);
  };
  if (signal.aborted) reject(signal.reason);
  const stop = isOver ? () => {} : watchWait({ signal }, { cancel });
  work.then((made) => {
    if (isOver) return discard(made);
    stop();
    resolve(made);
  }, (error) => {
    stop();
    reject(error);
  });
  return promise;
}

/**
 * Waits for `work`, for `timeoutMs` at most. Returns whether the work was done by then; rejects
 * when it rejects before.
 */
export async function endsWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const isOver = await waitAtMost(systemClock, timeoutMs, work);
  if (isOver) await work;
  return isOver;
}

/** Fills in the time limit of a wait, and checks it before any I/O. @throws as {@linkcode checkWait} does */
export function timeLimit(action: string, options: WaitOptions, fallbackMs: number): number {
  checkWait(action, options);
  return options.timeoutMs ?? fallbackMs;
}

/**
 * Returns what is left of `timeoutMs` since `startedMs` by `performance.now`: whole milliseconds, 1
 * at least.
 */
export function timeLeft(timeoutMs: number, startedMs: number): number {
  return Math.max(1, Math.ceil(timeoutMs - (performance.now() - startedMs)));
}
