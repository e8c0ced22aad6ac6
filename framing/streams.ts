// FrameDecoderStream and FrameEncoderStream: a framing as WHATWG TransformStreams.
import { checkInteger } from "../options/check.ts";
import { type Framing, MAX_MESSAGE_BYTES } from "./types.ts";

/** Options of {@linkcode FrameDecoderStream} and {@linkcode FrameEncoderStream}. */
export interface FrameStreamOptions {
  /**
   * Most bytes in one message, 1 to 1073741824.
   *
   * @default {1048576} as NATS has it: room for most records, and little to hold for each of a thousand peers
   */
  maxMessageBytes?: number | undefined;
}

const DEFAULT_MAX_MESSAGE_BYTES = 2 ** 20;

/**
 * Turns a stream of bytes into a stream of messages. The bytes may be cut into chunks in any way.
 * Chunks that were written belong to the stream: messages are views into them.
 *
 * Errors the stream with a `FramingError`: `ERR_FRAME_TOO_LARGE`, `ERR_FRAME_MALFORMED`, or
 * `ERR_FRAME_TRUNCATED` when the bytes end inside a message.
 *
 * @example
 * ```ts
 * import { FrameDecoderStream, lengthPrefixed } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = ReadableStream.from([new Uint8Array([1]), new Uint8Array([42, 0])]);
 * const messages = bytes.pipeThrough(new FrameDecoderStream(lengthPrefixed({ bytes: 1 })));
 * assertEquals(await Array.fromAsync(messages), [new Uint8Array([42]), new Uint8Array([])]);
 * ```
 */
export class FrameDecoderStream extends TransformStream<Uint8Array, Uint8Array> {
  /**
   * Makes a stream for one flow of bytes.
   *
   * @throws {RangeError} when `maxMessageBytes` is out of range
   */
  constructor(framing: Framing, options: FrameStreamOptions = {}) {
    const decoder = framing.decoder(resolve("Cannot decode the stream", options));
    super({
      transform(chunk, controller) {
        checkBytes("Cannot decode the stream", chunk);
        decoder.push(chunk);
        for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
          controller.enqueue(message);
        }
      },
      flush() {
        decoder.end();
      },
    });
  }
}

/**
 * Turns a stream of messages into a stream of bytes, one chunk for each message. Errors the stream
 * with a `FramingError` when a message cannot be sent under the framing.
 *
 * @example
 * ```ts
 * import { delimited, FrameEncoderStream } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const lines = ReadableStream.from(["one", "two"])
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeThrough(new FrameEncoderStream(delimited("\r\n")))
 *   .pipeThrough(new TextDecoderStream());
 * assertEquals((await Array.fromAsync(lines)).join(""), "one\r\ntwo\r\n");
 * ```
 */
export class FrameEncoderStream extends TransformStream<Uint8Array, Uint8Array> {
  /**
   * Makes a stream for one flow of messages.
   *
   * @throws {RangeError} when `maxMessageBytes` is out of range
   */
  constructor(framing: Framing, options: FrameStreamOptions = {}) {
    const encoder = framing.encoder(resolve("Cannot encode the stream", options));
    super({
      transform(message, controller) {
        checkBytes("Cannot encode the stream", message);
        const body = encoder.body(message);
        const frame = new Uint8Array(body.length + encoder.maxOverhead);
        const start = encoder.writeHead(body, frame, 0);
        frame.set(body, start);
        controller.enqueue(frame.subarray(0, encoder.writeTail(body, frame, start + body.length)));
      },
    });
  }
}

function resolve(action: string, options: FrameStreamOptions): { maxMessageBytes: number } {
  const { maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES } = options;
  checkInteger(action, "maxMessageBytes", maxMessageBytes, 1, MAX_MESSAGE_BYTES);
  return { maxMessageBytes };
}

function checkBytes(action: string, chunk: unknown): void {
  if (chunk instanceof Uint8Array) return;
  throw new TypeError(`${action}: each chunk must be a Uint8Array, got ${typeof chunk}`);
}
