// A connection's messages as bytes, and as WHATWG streams.
import type { Connection } from "../connection.ts";

const textEncoder = new TextEncoder();

/**
 * The bytes of a message: a string goes as UTF-8.
 *
 * @throws {TypeError} when it is neither, or its buffer was transferred to another owner
 */
export function messageBytes(message: Uint8Array | string): Uint8Array {
  if (typeof message === "string") return textEncoder.encode(message);
  if (message instanceof Uint8Array) {
    if (message.length > 0 || !(message.buffer as Partial<ArrayBuffer>).detached) return message;
    throw new TypeError(
      "Cannot send as the buffer of the message was transferred to another owner: send a copy",
    );
  }
  throw new TypeError(`Cannot send as the message must be a string or a Uint8Array: got ${typeof message}`);
}

/** What the streams need of a connection. */
type Messages = Pick<Connection, "receive" | "send" | "flush" | "closeWrite" | "abort">;

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
