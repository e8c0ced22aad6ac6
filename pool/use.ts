// runWork(): does work on a leased connection, again if that is wanted and allowed.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { type DelayBounds, nextDelay } from "../async/backoff.ts";
import { pause } from "../async/pause.ts";
import type { Connection } from "../connection.ts";
import {
  AddressError,
  ClosedError,
  FramingError,
  LimitError,
  ProtocolError,
  TimeoutError,
  TlsError,
} from "../errors.ts";
import { checkFunction, checkInteger } from "../options/check.ts";
import type { PoolEngine } from "./engine.ts";
import type { AcquireOptions, Lease } from "./lease.ts";
import { isStaleEnd } from "./lease_errors.ts";

/** What is done on a leased connection. */
export type Work<T> = (conn: Connection, context: WorkContext) => Promise<T> | T;

/** What the work gets beside the connection. */
export interface WorkContext {
  /** The signal that was given to `use`, or one that never aborts. */
  readonly signal: AbortSignal;
  /**
   * 1 the first time, 2 the second. Work on a connection that had ended already, see `retries`, was
   * no attempt.
   */
  readonly attempt: number;
  /** The lease, for its name and its signal. */
  readonly lease: Lease;
}

/** Options of `pool.use`. */
export interface UseOptions extends AcquireOptions {
  /**
   * How often failed work may be done again, 0 to 100; another backend is preferred then. An end
   * without an answer is a failure. When more than 0, work that finds its connection ended before
   * anything came on it is done on another one at once, up to four times, and that counts as no
   * retry.
   *
   * @default {0} since the pool cannot know whether that does harm
   */
  retries?: number | undefined;
  /**
   * Whether an error of the work is worth another attempt. When it throws, there is none, and
   * `onError` takes the error.
   *
   * @default those by which a backend failed
   */
  isRetriable?: ((error: unknown) => boolean) | undefined;
}

const NAMES: OptionNames<UseOptions> = {
  signal: true,
  timeoutMs: true,
  retries: true,
  isRetriable: true,
};

const ACTION = "Cannot use the pool";

/**
 * Pauses before work is done again: 5 to 10 ms at first, up to 1 s later. Other callers get the
 * backends meanwhile.
 */
const PAUSES: DelayBounds = { minDelayMs: 5, maxDelayMs: 1000 };

/**
 * Most connections that had ended already on which the work of one attempt is tried: a backend may
 * end all that are kept for reuse.
 */
const MAX_STALE = 4;

/** Leases a connection, if possible not to a backend of these names. */
export type Acquire = (options: AcquireOptions, avoided: ReadonlySet<string>) => Promise<Lease>;

/** Does the work, within the budget for retries. */
export async function runWork<T>(
  acquire: Acquire,
  engine: PoolEngine,
  work: Work<T>,
  options: UseOptions,
): Promise<T> {
  const {
    retries = 0,
    isRetriable = blamesBackend,
    signal = new AbortController().signal,
    timeoutMs,
  } = options;
  checkOptionNames(ACTION, options, NAMES);
  checkFunction(ACTION, "work", work);
  checkFunction(ACTION, "isRetriable", isRetriable);
  checkInteger(ACTION, "retries", retries, 0, 100);
  const failed = new Set<string>();
  let attempt = 0;
  let worked = false;
  const isWorthIt = (error: unknown) =>
    engine.reporter.ask("isRetriable", () => isRetriable(error));
  const mayTryElsewhere = (error: unknown, stale: number) =>
    retries > 0 && stale < MAX_STALE && !signal.aborted && isStaleEnd(error) && isWorthIt(error);
  const once = async () => {
    for (let stale = 0;; stale++) {
      worked = false;
      const lease = await acquire({ signal, timeoutMs }, failed);
      if (stale === 0) attempt++;
      worked = true;
      try {
        const result = await work(lease.conn, { signal, attempt, lease });
        lease.release();
        return result;
      } catch (error) {
        blamesBackend(error) ? lease.fail(error) : giveBack(lease, signal);
        failed.add(lease.backend);
        if (!mayTryElsewhere(error, stale)) throw error;
      }
    }
  };
  for (;;) {
    signal.throwIfAborted();
    try {
      return await once();
    } catch (error) {
      if (!worked || attempt > retries || !isWorthIt(error) || !engine.mayRetry()) throw error;
      await pause(nextDelay(attempt, Math.random(), PAUSES), signal);
    }
  }
}

/** The caller's own mistake leaves the connection in whatever state: the pool looks at it. */
function giveBack(lease: Lease, signal: AbortSignal): void {
  signal.aborted ? lease.discard() : lease.release();
}

/** Whether an error of the work shows that the backend, or the way there, failed. */
function blamesBackend(error: unknown): boolean {
  if (error instanceof LimitError) return false;
  if (error instanceof DOMException) return error.name === "TimeoutError";
  return [ClosedError, TimeoutError, FramingError, ProtocolError, AddressError, TlsError].some((
    each,
  ) => error instanceof each);
}
