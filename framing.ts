// Framing: how messages become bytes and bytes become messages; the face of `framing/`.
export type { FrameDecoder, FrameEncoder, Framing, FramingLimits } from "./framing/types.ts";
export { MAX_MESSAGE_BYTES } from "./framing/types.ts";
export { delimited } from "./framing/delimited.ts";
export { lengthPrefixed, type LengthPrefixedOptions } from "./framing/length_prefixed.ts";
export { varintPrefixed } from "./framing/varint_prefixed.ts";
export { fixedLength, raw } from "./framing/plain.ts";
export { FrameDecoderStream, FrameEncoderStream, type FrameStreamOptions } from "./framing/streams.ts";
