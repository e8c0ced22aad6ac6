/** Joins streams into one: one chunk of each in turn, until all have ended. */
export function zipReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
