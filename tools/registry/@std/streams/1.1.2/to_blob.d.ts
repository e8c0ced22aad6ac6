/** Reads a stream to its end. */
export function toBlob(stream: ReadableStream<Uint8Array>): Promise<Blob>;
