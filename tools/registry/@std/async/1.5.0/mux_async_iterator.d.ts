/** Several async iterables as one, in the order in which values come. */
export class MuxAsyncIterator<T> implements AsyncIterable<T> {
  /** Adds an iterable. */
  add(iterable: AsyncIterable<T>): void;
  /** Yields values as they come, until all iterables have ended. */
  iterate(): AsyncIterableIterator<T>;
  [Symbol.asyncIterator](): AsyncIterator<T>;
}
