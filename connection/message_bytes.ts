// toBytes(): the bytes of a message that is sent.

const textEncoder = new TextEncoder();

/**
 * Returns the bytes of a message; a string goes as UTF-8.
 *
 * @throws {TypeError} when it is neither a string nor bytes, or its bytes belong to another owner
 */
export function toBytes(message: Uint8Array | string): Uint8Array {
  if (typeof message === "string") return textEncoder.encode(message);
  if (message instanceof Uint8Array) {
    if (message.length > 0 || !(message.buffer as Partial<ArrayBuffer>).detached) return message;
    throw new TypeError(
      "Cannot send: the buffer of the message was transferred to another owner: send a copy",
    );
  }
  throw new TypeError(
    `Cannot send: the message must be a string or a Uint8Array, got ${typeof message}`,
  );
}
