// sendOutputs(): pulls the outputs of a handler one at a time, as fast as the stream takes them.
import { ignoreRejection } from "../async/rejections.ts";

/** Where outputs go. */
export interface OutputTarget {
  /** Fires when the caller no longer waits. */
  readonly signal: AbortSignal;
  /** Sends an output; resolves when the stream has room for the next. */
  readonly send: (output: unknown) => Promise<void>;
}

/**
 * Sends each output once the stream has room for it: a caller that stops reading stops the
 * generator. When the caller is gone the generator is ended, which runs its `finally`.
 *
 * @throws {TypeError} when the handler returned nothing to iterate over
 * @throws what the generator throws, and what ends the stream
 */
export async function sendOutputs(outputs: unknown, target: OutputTarget): Promise<void> {
  const { signal, send } = target;
  const iterator = iteratorOf(outputs);
  let isDone = false;
  // A generator that waits is ended when its wait is: handlers hand `signal` on. Another iterator
  // may end at once.
  const onAbort = () => void ignoreRejection((async () => await iterator.return?.())());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const step = await iterator.next();
      isDone = step.done === true;
      if (isDone) return signal.throwIfAborted();
      signal.throwIfAborted();
      await send(step.value);
    }
  } catch (error) {
    // Its own error has ended it already; then `return` does nothing.
    if (!isDone) await iterator.return?.();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The iterator over what a handler, a caller or middleware returned. */
export function iteratorOf(values: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof values === "object" && values !== null) {
    if (Symbol.asyncIterator in values) {
      return (values as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    }
    if (Symbol.iterator in values) return (values as Iterable<unknown>)[Symbol.iterator]();
  }
  throw new TypeError(
    `Cannot go on with the call: wanted an iterable, such as what a generator returns, got ${
      values === null ? "null" : typeof values
    }`,
  );
}
