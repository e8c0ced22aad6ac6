/** The promise, or a rejection with `signal.reason` once the signal aborts. */
export function abortable<T>(p: Promise<T>, signal: AbortSignal): Promise<T>;
/** The iterable, which throws `signal.reason` once the signal aborts. */
export function abortable<T>(p: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T>;
