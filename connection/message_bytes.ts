// toBytes(), allToBytes(): the bytes of messages that are sent.
import { checkIterable } from "../options/check.ts";

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

/**
 * Returns the bytes of each message of a batch.
 *
 * @throws {TypeError} when they are no messages
 */
export function allToBytes(messages: Iterable<Uint8Array | string>): Uint8Array[] {
  checkIterable("Cannot send", "messages", messages);
  if (messages instanceof Uint8Array) {
    throw new TypeError(
      'Cannot send: "messages" must be an array of messages, got the bytes of one: use send()',
    );
  }
  // All first: the code that makes one message may transfer the buffer of another.
  return [...messages].map((message) => toBytes(message));
}
