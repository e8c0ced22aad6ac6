// The contract between a connection and a framing.

/** The largest message that can be allowed: 1 GiB, because one buffer can safely hold that everywhere. */
export const MAX_MESSAGE_BYTES: number = 2 ** 30;

/** Limits that a framing keeps. */
export interface FramingLimits {
  /** Most bytes in one message, 1 to {@linkcode MAX_MESSAGE_BYTES}. */
  readonly maxMessageBytes: number;
}

/**
 * Puts messages into frames. Pure: no I/O, no clock, no state that outlives a message.
 *
 * A frame is a head, a body and a tail. The body is the message itself unless the framing has to change its
 * bytes; a large body is written from where it lies, without a copy.
 */
export interface FrameEncoder {
  /** Most bytes that head and tail take together. */
  readonly maxOverhead: number;
  /**
   * Checks a message and returns its body: the message itself, or a changed copy.
   *
   * @throws {FramingError} when this message cannot be sent under this framing
   */
  body(message: Uint8Array): Uint8Array;
  /**
   * The same for messages that follow each other, where checking one changes what the next may be:
   * it checks all of them, or, when it throws, as good as none. @default {`body` for each}
   *
   * @throws {FramingError} when one of them cannot be sent under this framing
   */
  bodies?(messages: readonly Uint8Array[]): Uint8Array[];
  /** Writes what goes before `body` at `offset`; returns the offset behind it. */
  writeHead(body: Uint8Array, into: Uint8Array, offset: number): number;
  /** Writes what goes after `body` at `offset`; returns the offset behind it. */
  writeTail(body: Uint8Array, into: Uint8Array, offset: number): number;
}

/**
 * Finds messages in bytes. Pure: the caller pushes chunks and takes messages one by one. No message
 * is decoded before the caller asks for it, so that the framing can change between two messages.
 */
export interface FrameDecoder {
  /** Bytes pushed and not yet returned as messages. */
  readonly heldBytes: number;
  /** Takes the next bytes. They belong to the decoder from now on: messages are views into them. */
  push(chunk: Uint8Array): void;
  /**
   * Returns the next complete message, or `undefined` when more bytes are needed. It belongs to the caller.
   * After an error every call throws that error again.
   *
   * @throws {FramingError} when the bytes are no message, or too large a one
   */
  next(): Uint8Array | undefined;
  /**
   * The same for several messages at a time, where that costs less: appends at least one, unless
   * more bytes are needed, and at most `most`. All of them end in the same pushed chunk. It throws
   * only when it has appended none.
   *
   * @throws {FramingError} when the bytes are no message, or too large a one
   */
  nextInto?(messages: Uint8Array[], most: number): void;
  /**
   * Says that no more bytes come; call it once {@linkcode next} returns `undefined`.
   *
   * @throws {FramingError} `ERR_FRAME_TRUNCATED` when they ended inside a message
   */
  end(): void;
  /**
   * Returns all held bytes unchanged, for another decoder or the same one to continue with, and
   * forgets them.
   */
  takeRest(): Uint8Array;
}

/**
 * A way to send messages over a flow of bytes. The built-in ones are `delimited`, `lengthPrefixed`,
 * `varintPrefixed`, `chunked`, `fixedLength` and `raw`; write your own by implementing this
 * interface.
 */
export interface Framing {
  /** Name for logs, errors and statistics. */
  readonly name: string;
  /** Makes an encoder for one connection. */
  encoder(limits: FramingLimits): FrameEncoder;
  /** Makes a decoder for one connection. */
  decoder(limits: FramingLimits): FrameDecoder;
}
