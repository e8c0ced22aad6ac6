// Handover: reads and writes of a transport for a caller that is called back, with or without promises.
import type { ChunkReader, ChunkWriter, Transport } from "./transport.ts";

/** Reads from `transport`; `reader` gets what comes, later. */
export function readTo(transport: Transport, reader: ChunkReader): void {
  if (transport.readTo !== undefined) transport.readTo(reader);
  else handRead(transport.read(), reader);
}

/** Writes to `transport`; `writer` learns the end of it, later. */
export function writeFor(transport: Transport, bytes: Uint8Array, writer: ChunkWriter): void {
  if (transport.writeFor !== undefined) transport.writeFor(bytes, writer);
  else handWrite(transport.write(bytes), writer);
}

/** Passes the result of a read to `reader`. */
export function handRead(read: Promise<Uint8Array | null>, reader: ChunkReader): void {
  read.then((chunk) => reader.onChunk(chunk), (error) => reader.onReadFailed(error));
}

/** Passes the end of a write to `writer`. */
export function handWrite(write: Promise<void>, writer: ChunkWriter): void {
  write.then(() => writer.onWritten(), (error) => writer.onWriteFailed(error));
}
