// A connection's messages as WHATWG streams.
/** What the streams need of a connection. */
interface Messages {
  receive(): Promise<Uint8Array | null>;
  send(message: Uint8Array | string): Promise<void>;
  closeWrite(): Promise<void>;
  abort(reason?: unknown): void;
}

/** Messages as a stream; nothing is read before it is asked for. */
export function messageReadable(connection: Messages): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const message = await connection.receive();
      if (message === null) controller.close();
      else controller.enqueue(message);
    },
    cancel(reason) {
      connection.abort(reason);
    },
  }, { highWaterMark: 0 });
}

/** A stream that takes messages; `ready` follows the connection's high-water mark. */
export function messageWritable(connection: Messages): WritableStream<Uint8Array | string> {
  return new WritableStream<Uint8Array | string>({
    write(message) {
      return connection.send(message);
    },
    close() {
      return connection.closeWrite();
    },
    abort(reason) {
      connection.abort(reason);
    },
  });
}
