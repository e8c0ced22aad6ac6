/** Joins streams into one: one chunk of each in turn, until one has ended. */
export function earlyZipReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
