// unlessAborted(): waits for work that cannot be ended, no longer than a signal allows.

/**
 * Waits for `work`, or for the abort of `signal`, whichever comes first. What `work` makes after that goes to `discard`, because the
 * caller never sees it: a socket that comes up late must be closed.
 *
 * @throws `signal.reason` when the signal aborts first, and otherwise what `work` rejects with
 */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  discard: (late: T) => void = () => {},
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let isOver = false;
  const onAbort = () => {
    isOver = true;
    reject(signal.reason);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  work.then((made) => {
    if (isOver) return discard(made);
    signal.removeEventListener("abort", onAbort);
    resolve(made);
  }, (error) => {
    signal.removeEventListener("abort", onAbort);
    reject(error);
  });
  return promise;
}
