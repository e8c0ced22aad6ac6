/** Reads a stream to its end as text. */
export function toText(readableStream: ReadableStream): Promise<string>;
