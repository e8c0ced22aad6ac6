/** Thrown by {@linkcode retry} when all attempts have failed; `cause` is the last failure. */
export class RetryError extends Error {
  constructor(cause: unknown, attempts: number);
}

/** Options for {@linkcode retry}. */
export interface RetryOptions {
  /** Growth of the pause from attempt to attempt. @default {2} */
  multiplier?: number | undefined;
  /** Longest pause in milliseconds. @default {60000} */
  maxTimeout?: number | undefined;
  /** Number of attempts. @default {5} */
  maxAttempts?: number | undefined;
  /** First and shortest pause in milliseconds. @default {1000} */
  minTimeout?: number | undefined;
  /** Share of the pause that is random, 0 to 1. @default {1} */
  jitter?: number | undefined;
  /** Whether a failure is worth another attempt. @default {() => true} */
  isRetriable?: ((err: unknown) => boolean) | undefined;
  /** Ends the attempts early. */
  signal?: AbortSignal | undefined;
}

/** Calls `fn` until it succeeds, with growing pauses between attempts. */
export function retry<T>(fn: (() => Promise<T>) | (() => T), options?: RetryOptions): Promise<T>;
