/**
 * Framings: how messages become bytes and bytes become messages, with a size limit that is checked
 * before memory is allocated. For most uses call {@linkcode lengthPrefixed} for binary messages or
 * {@linkcode delimited} for lines, and pass the result as the option `framing` of `serve` and
 * `connect`.
 *
 * @example Messages out of any stream of bytes
 * ```ts
 * import { FrameDecoderStream, lengthPrefixed } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const framing = lengthPrefixed({ bytes: 2 });
 * const messages = ReadableStream.from([new Uint8Array([0, 3, 1, 2, 3, 0]), new Uint8Array([1, 9])])
 *   .pipeThrough(new FrameDecoderStream(framing, { maxMessageBytes: 1024 }));
 * assertEquals(await Array.fromAsync(messages), [new Uint8Array([1, 2, 3]), new Uint8Array([9])]);
 * ```
 *
 * @module
 */
export type { FrameDecoder, FrameEncoder, Framing, FramingLimits } from "./framing/types.ts";
export { MAX_MESSAGE_BYTES } from "./framing/types.ts";
export { delimited } from "./framing/delimited.ts";
export { lengthPrefixed, type LengthPrefixedOptions } from "./framing/length_prefixed.ts";
export { varintPrefixed } from "./framing/varint_prefixed.ts";
export { chunked, type ChunkedOptions } from "./framing/chunked.ts";
export { fixedLength, raw } from "./framing/plain.ts";
export {
  FrameDecoderStream,
  FrameEncoderStream,
  type FrameStreamOptions,
} from "./framing/streams.ts";
