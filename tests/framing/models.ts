// Models: every framing once more, written as plainly as possible, to compare the real ones with.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { FramingError, type FramingErrorCode } from "../../errors.ts";
import {
  chunked,
  delimited,
  fixedLength,
  type FrameDecoder,
  type Framing,
  lengthPrefixed,
  varintPrefixed,
} from "../../framing.ts";

/** What came out of some bytes: messages, the bytes that their frames took, and how it ended. */
export interface Decoded {
  readonly messages: Uint8Array[];
  /** Offset in the input behind each message's frame. */
  readonly ends: number[];
  readonly outcome: "whole" | FramingErrorCode;
}

/** A framing beside its model. */
export interface Model {
  readonly framing: Framing;
  /** Bytes that random inputs are made of, so that delimiters and prefixes come up often. */
  readonly alphabet: Uint8Array;
  /** One frame's bytes, or `undefined` when the message is refused. */
  encode(message: Uint8Array): Uint8Array | undefined;
  /** Decodes one frame at `at`: its message and the offset behind it, or what is wrong. */
  decodeOne(
    bytes: Uint8Array,
    at: number,
    maxMessageBytes: number,
  ): { message: Uint8Array; end: number } | FramingErrorCode;
}

/** Decodes all of `bytes` with a model. */
export function decodeWithModel(model: Model, bytes: Uint8Array, maxMessageBytes: number): Decoded {
  const messages: Uint8Array[] = [];
  const ends: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const one = model.decodeOne(bytes, at, maxMessageBytes);
    if (typeof one === "string") return { messages, ends, outcome: one };
    messages.push(one.message);
    ends.push(one.end);
    at = one.end;
  }
  return { messages, ends, outcome: "whole" };
}

/** Pushes chunk after chunk, takes all messages each time, and checks `heldBytes` on the way. */
export function decodeChunks(
  decoder: FrameDecoder,
  chunks: readonly Uint8Array[],
  ends?: number[],
): Decoded {
  const messages: Uint8Array[] = [];
  let pushed = 0;
  try {
    for (const chunk of chunks) {
      decoder.push(chunk);
      pushed += chunk.length;
      for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
        messages.push(message);
        checkHeld(decoder, pushed, messages.length, ends);
      }
      checkHeld(decoder, pushed, messages.length, ends);
    }
    decoder.end();
  } catch (error) {
    if (!(error instanceof FramingError)) throw error;
    return { messages, ends: ends ?? [], outcome: error.code as FramingErrorCode };
  }
  return { messages, ends: ends ?? [], outcome: "whole" };
}

/** The same, with so many messages at most in each call of `nextInto`. */
export function decodeInBatches(
  decoder: FrameDecoder,
  chunks: readonly Uint8Array[],
  most: number,
): Omit<Decoded, "ends"> {
  const messages: Uint8Array[] = [];
  try {
    for (const chunk of chunks) {
      decoder.push(chunk);
      for (let before = -1; before < messages.length;) {
        before = messages.length;
        nextInto(decoder, messages, most);
      }
    }
    decoder.end();
  } catch (error) {
    if (!(error instanceof FramingError)) throw error;
    return { messages, outcome: error.code as FramingErrorCode };
  }
  return { messages, outcome: "whole" };
}

/** Calls `nextInto`, and checks what it promises. */
function nextInto(decoder: FrameDecoder, messages: Uint8Array[], most: number): void {
  const before = messages.length;
  try {
    decoder.nextInto!(messages, most);
  } catch (error) {
    assertEquals(messages.length, before, "it throws only when it has appended none");
    assertThrows(() => decoder.next(), FramingError);
    throw error;
  }
  assert(messages.length <= before + most);
}

function checkHeld(
  decoder: FrameDecoder,
  pushed: number,
  taken: number,
  ends: number[] | undefined,
): void {
  if (ends === undefined) return;
  const held = pushed - (taken === 0 ? 0 : ends[taken - 1]!);
  if (decoder.heldBytes !== held) {
    throw new Error(
      `heldBytes is ${decoder.heldBytes}, not ${held}, after ${taken} messages of ${pushed} bytes`,
    );
  }
}

/** `delimited(...)`, by trying every offset. */
export function delimitedModel(delimiter: Uint8Array): Model {
  const matches = (bytes: Uint8Array, at: number) =>
    delimiter.every((byte, i) => bytes[at + i] === byte);
  const find = (bytes: Uint8Array, from: number) => {
    for (let at = from; at <= bytes.length - delimiter.length; at++) {
      if (matches(bytes, at)) return at;
    }
    return -1;
  };
  return {
    framing: delimited(delimiter),
    alphabet: new Uint8Array([...delimiter, ...delimiter, 120]),
    encode(message) {
      const frame = new Uint8Array([...message, ...delimiter]);
      return find(frame, 0) === message.length ? frame : undefined;
    },
    decodeOne(bytes, at, maxMessageBytes) {
      const found = find(bytes, at);
      if (found === -1) {
        return bytes.length - at >= maxMessageBytes + delimiter.length
          ? "ERR_FRAME_TOO_LARGE"
          : "ERR_FRAME_TRUNCATED";
      }
      if (found - at > maxMessageBytes) return "ERR_FRAME_TOO_LARGE";
      return { message: bytes.slice(at, found), end: found + delimiter.length };
    },
  };
}

/** `lengthPrefixed(...)`, with big integers. */
export function lengthModel(bytes: 1 | 2 | 4 | 8, endian: "big" | "little"): Model {
  const inOrder = (prefix: number[]) => endian === "big" ? prefix : prefix.toReversed();
  return {
    framing: lengthPrefixed({ bytes, endian }),
    alphabet: new Uint8Array([0, 0, 0, 0, 0, 1, 2, 3, 255]),
    encode(message) {
      if (message.length >= 256 ** bytes) return undefined;
      const digits = BigInt(message.length).toString(16).padStart(2 * bytes, "0");
      return new Uint8Array([...inOrder([...Uint8Array.fromHex(digits)]), ...message]);
    },
    decodeOne(input, at, maxMessageBytes) {
      if (input.length - at < bytes) return "ERR_FRAME_TRUNCATED";
      const prefix = inOrder([...input.slice(at, at + bytes)]);
      const length = prefix.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
      if (length > BigInt(maxMessageBytes)) return "ERR_FRAME_TOO_LARGE";
      const end = at + bytes + Number(length);
      if (end > input.length) return "ERR_FRAME_TRUNCATED";
      return { message: input.slice(at + bytes, end), end };
    },
  };
}

/** `varintPrefixed()`, with big integers. */
export function varintModel(): Model {
  const write = (length: number) => {
    const groups = [...length.toString(2).padStart(35, "0").matchAll(/.{7}/g)].map(([bits]) =>
      parseInt(bits, 2)
    );
    while (groups.length > 1 && groups[0] === 0) groups.shift();
    return groups.reverse().map((group, i) => i < groups.length - 1 ? group | 0x80 : group);
  };
  return {
    framing: varintPrefixed(),
    alphabet: new Uint8Array([0, 1, 2, 3, 127, 128, 129, 255]),
    encode: (message) => new Uint8Array([...write(message.length), ...message]),
    decodeOne(input, at, maxMessageBytes) {
      let size = 0;
      while (at + size < input.length && size < 5 && input[at + size]! >= 0x80) size++;
      if (size === 5) return "ERR_FRAME_MALFORMED";
      if (at + size === input.length) return "ERR_FRAME_TRUNCATED";
      const prefix = [...input.slice(at, at + size + 1)];
      if (size > 0 && prefix[size] === 0) return "ERR_FRAME_MALFORMED";
      const length = prefix.reduceRight((sum, byte) => sum * 128n + BigInt(byte & 0x7f), 0n);
      if (length > BigInt(maxMessageBytes)) return "ERR_FRAME_TOO_LARGE";
      const end = at + prefix.length + Number(length);
      if (end > input.length) return "ERR_FRAME_TRUNCATED";
      return { message: input.slice(at + prefix.length, end), end };
    },
  };
}

/** `chunked()`, by lists of chunks. */
export function chunkedModel(): Model {
  const prefix = varintModel();
  return {
    framing: chunked(),
    alphabet: new Uint8Array([0, 0, 0, 1, 2, 3, 128, 129, 255]),
    encode: (message) =>
      new Uint8Array([...message.length === 0 ? [] : prefix.encode(message)!, 0]),
    decodeOne(input, at, maxMessageBytes) {
      const parts: number[] = [];
      for (let end = at;;) {
        // Each chunk is a message of the other framing, with what is left of the limit.
        const one = prefix.decodeOne(input, end, maxMessageBytes - parts.length);
        if (typeof one === "string") return one;
        end = one.end;
        if (one.message.length === 0) return { message: new Uint8Array(parts), end };
        parts.push(...one.message);
      }
    },
  };
}

/** `fixedLength(...)`. */
export function fixedModel(messageBytes: number): Model {
  return {
    framing: fixedLength(messageBytes),
    alphabet: new Uint8Array([0, 1, 2, 255]),
    encode: (message) => message.length === messageBytes ? message.slice() : undefined,
    decodeOne(input, at) {
      const end = at + messageBytes;
      return end > input.length ? "ERR_FRAME_TRUNCATED" : { message: input.slice(at, end), end };
    },
  };
}

/** Every framing with a model, in the variants that tests go through. */
export const models: readonly Model[] = [
  ...["\n", "\0", "\r\n", "aa", "aab", "aba", "abab", "aaaa", "\r\n\r\n", "abcabcabd"].map((
    delimiter,
  ) => delimitedModel(new TextEncoder().encode(delimiter))),
  ...([1, 2, 4, 8] as const).flatMap((
    bytes,
  ) => [lengthModel(bytes, "big"), lengthModel(bytes, "little")]),
  varintModel(),
  chunkedModel(),
  fixedModel(1),
  fixedModel(3),
];
