/** Reads a stream to its end and parses it as JSON. */
export function toJson(readableStream: ReadableStream): Promise<unknown>;
