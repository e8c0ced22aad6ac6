// Good and bad bytes for every framing, written by hand, cut in every way.
import { assertEquals } from "@std/assert";
import type { FramingErrorCode } from "../../errors.ts";
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  varintPrefixed,
} from "../../framing.ts";
import { concat, everyCut, hex, pattern, utf8 } from "../support/bytes.ts";
import { decodeChunks } from "./models.ts";

interface Vector {
  readonly about: string;
  readonly framing: Framing;
  readonly input: Uint8Array;
  readonly messages: readonly Uint8Array[];
  /** @default {"whole"} */
  readonly outcome?: FramingErrorCode | undefined;
  /** @default {16} */
  readonly maxMessageBytes?: number | undefined;
}

const EMPTY = new Uint8Array(0);
const TOO_LARGE = "ERR_FRAME_TOO_LARGE";
const TRUNCATED = "ERR_FRAME_TRUNCATED";
const MALFORMED = "ERR_FRAME_MALFORMED";

function lines(
  about: string,
  delimiter: string,
  input: string,
  messages: readonly string[],
  outcome?: FramingErrorCode,
): Vector {
  return {
    about,
    framing: delimited(delimiter),
    input: utf8(input),
    messages: messages.map(utf8),
    outcome,
  };
}

function prefixed(
  about: string,
  framing: Framing,
  input: string,
  messages: readonly string[],
  outcome?: FramingErrorCode,
): Vector {
  return { about, framing, input: hex(input), messages: messages.map(hex), outcome };
}

const u8 = lengthPrefixed({ bytes: 1 });
const u16 = lengthPrefixed({ bytes: 2 });
const u16little = lengthPrefixed({ bytes: 2, endian: "little" });
const u32 = lengthPrefixed();
const u32little = lengthPrefixed({ endian: "little" });
const u64 = lengthPrefixed({ bytes: 8 });
const u64little = lengthPrefixed({ bytes: 8, endian: "little" });
const varint = varintPrefixed();

const vectors: readonly Vector[] = [
  lines("nothing", "\n", "", []),
  lines("one", "\n", "one\n", ["one"]),
  lines("two and an empty one", "\n", "one\n\ntwo\n", ["one", "", "two"]),
  lines("empty ones only", "\n", "\n\n\n", ["", "", ""]),
  lines("an end inside a message", "\n", "one\ntw", ["one"], TRUNCATED),
  lines("a message at the limit", "\n", "0123456789abcdef\n", ["0123456789abcdef"]),
  lines("a message over the limit", "\n", "ok\n0123456789abcdefg\n", ["ok"], TOO_LARGE),
  lines("no delimiter within the limit", "\n", "0123456789abcdefg", [], TOO_LARGE),
  lines("no delimiter up to the limit", "\n", "0123456789abcdef", [], TRUNCATED),
  lines("two bytes", "\r\n", "one\r\ntwo\r\n", ["one", "two"]),
  lines("halves that are none", "\r\n", "\r\r\n\n\r\n", ["\r", "\n"]),
  lines("half of it at the end", "\r\n", "one\r\ntwo\r", ["one"], TRUNCATED),
  lines("its own first half before it", "aab", "aaab", ["a"]),
  lines("twice its own first half before it", "aab", "aaaab", ["aa"]),
  lines("one that overlaps itself", "aa", "aaaa", ["", ""]),
  lines("one that overlaps itself, and a rest", "aa", "aaa", [""], TRUNCATED),
  lines("the first of two that overlap", "abab", "ababab", [""], TRUNCATED),
  lines("a false start with a border", "abab", "abaabab", ["aba"]),
  lines("four bytes, blank line", "\r\n\r\n", "a\r\nb\r\n\r\n\r\n\r\n", ["a\r\nb", ""]),
  lines("four bytes over the limit by one", "\r\n\r\n", "0123456789abcdefg\r\n\r\n", [], TOO_LARGE),
  lines("four bytes at the limit", "\r\n\r\n", "0123456789abcdef\r\n\r\n", ["0123456789abcdef"]),
  lines("a delimiter of letters outside ASCII", "→", "a→b→", ["a", "b"]),

  prefixed("nothing", u8, "", []),
  prefixed("one, an empty one, another", u8, "02 aabb 00 01 cc", ["aabb", "", "cc"]),
  prefixed("the limit", u8, `10 ${"00".repeat(16)}`, ["00".repeat(16)]),
  prefixed("one over the limit", u8, "01 aa 11", ["aa"], TOO_LARGE),
  prefixed("an end inside the body", u8, "02 aa", [], TRUNCATED),
  prefixed("two bytes, big", u16, "0001 aa 0000 0002 bbcc", ["aa", "", "bbcc"]),
  prefixed("two bytes, little", u16little, "0100 aa 0000 0200 bbcc", ["aa", "", "bbcc"]),
  prefixed("an end inside the prefix", u16, "0001 aa 00", ["aa"], TRUNCATED),
  prefixed("an end behind the prefix", u16, "0001", [], TRUNCATED),
  prefixed("four bytes, big", u32, "00000003 010203 00000000", ["010203", ""]),
  prefixed("four bytes, little", u32little, "03000000 010203 00000000", ["010203", ""]),
  prefixed("four bytes, the largest", u32, "ffffffff", [], TOO_LARGE),
  prefixed("four bytes, top bit only", u32, "80000000", [], TOO_LARGE),
  prefixed("four bytes, little, read as big", u32, "01000000 aa", [], TOO_LARGE),
  prefixed("eight bytes, big", u64, "0000000000000001 aa", ["aa"]),
  prefixed("eight bytes, little", u64little, "0100000000000000 aa", ["aa"]),
  prefixed("eight bytes, 2^32 and 1", u64, "0000000100000001 aa", [], TOO_LARGE),
  prefixed("eight bytes, 2^53", u64, "0020000000000000", [], TOO_LARGE),
  prefixed("eight bytes, 2^53 and 1", u64, "0020000000000001", [], TOO_LARGE),
  prefixed("eight bytes, the largest", u64, "ffffffffffffffff", [], TOO_LARGE),
  prefixed("eight bytes, little, the largest", u64little, "ffffffffffffffff", [], TOO_LARGE),

  prefixed("nothing", varint, "", []),
  prefixed("one, an empty one", varint, "01 aa 00", ["aa", ""]),
  prefixed("zero in two bytes", varint, "01 aa 8000", ["aa"], MALFORMED),
  prefixed("one in two bytes", varint, "8100 aa", [], MALFORMED),
  prefixed("zero in five bytes", varint, "8080808000", [], MALFORMED),
  prefixed("two bytes over the limit", varint, "8001", [], TOO_LARGE),
  prefixed("the most that five bytes tell", varint, "ffffffff7f", [], TOO_LARGE),
  prefixed("six bytes", varint, "808080808001", [], MALFORMED),
  prefixed("six bytes of ones", varint, "ffffffffffff", [], MALFORMED),
  prefixed("an end inside the prefix", varint, "ffff", [], TRUNCATED),
  prefixed("an end inside the body", varint, "03 0102", [], TRUNCATED),

  prefixed("nothing", chunked(), "", []),
  prefixed("one, an empty one", chunked(), "01 aa 00 00", ["aa", ""]),
  prefixed("one in three chunks, then one in one", chunked(), "01 aa 02 bbcc 01 dd 00 01 ee 00", [
    "aabbccdd",
    "ee",
  ]),
  prefixed("chunks up to the limit", chunked(), "08 0102030405060708 08 090a0b0c0d0e0f10 00", [
    "0102030405060708090a0b0c0d0e0f10",
  ]),
  prefixed("a chunk more than the limit", chunked(), "00 08 0102030405060708 09", [""], TOO_LARGE),
  prefixed("a chunk over the limit", chunked(), "00 11", [""], TOO_LARGE),
  prefixed("the most that five bytes tell", chunked(), "ffffffff7f", [], TOO_LARGE),
  prefixed("zero in two bytes", chunked(), "01 aa 00 8000", ["aa"], MALFORMED),
  prefixed("one in two bytes, in the second chunk", chunked(), "01 aa 8100 bb", [], MALFORMED),
  prefixed("six bytes", chunked(), "01 aa 808080808001", [], MALFORMED),
  prefixed("an end inside a length", chunked(), "01 aa ff", [], TRUNCATED),
  prefixed("an end inside a chunk", chunked(), "01 aa 00 02 bb", ["aa"], TRUNCATED),
  prefixed("an end between two chunks", chunked(), "01 aa", [], TRUNCATED),

  prefixed("nothing", fixedLength(3), "", []),
  prefixed("three", fixedLength(3), "010203 040506 070809", ["010203", "040506", "070809"]),
  prefixed("a rest", fixedLength(3), "010203 0405", ["010203"], TRUNCATED),
  prefixed("single bytes", fixedLength(1), "010203", ["01", "02", "03"]),

  {
    about: "a length of two groups",
    framing: varint,
    input: concat([hex("ac02"), pattern(300)]),
    messages: [pattern(300)],
    maxMessageBytes: 300,
  },
  {
    about: "a length of three groups",
    framing: varint,
    input: concat([hex("808001"), pattern(16384), hex("00")]),
    messages: [pattern(16384), EMPTY],
    maxMessageBytes: 16384,
  },
  {
    about: "chunks whose lengths have two and three groups",
    framing: chunked(),
    input: concat([hex("ac02"), pattern(300), hex("808001"), pattern(16384), hex("01 07 00 00")]),
    messages: [concat([pattern(300), pattern(16384), hex("07")]), EMPTY],
    maxMessageBytes: 16_685,
  },
  {
    about: "255 bytes",
    framing: u8,
    input: concat([hex("ff"), pattern(255), hex("00")]),
    messages: [pattern(255), EMPTY],
    maxMessageBytes: 255,
  },
  {
    about: "one over the limit of 255",
    framing: u16,
    input: concat([hex("0100"), pattern(256)]),
    messages: [],
    outcome: TOO_LARGE,
    maxMessageBytes: 255,
  },
];

for (
  const { about, framing, input, messages, outcome = "whole", maxMessageBytes = 16 } of vectors
) {
  Deno.test(`${framing.name} decodes ${about}: ${outcome}`, () => {
    // A long vector is cut near its ends and its prefix only.
    const ways = input.length > 1000 ? longCuts(input) : everyCut(input);
    for (const chunks of ways) {
      const before = chunks.map((chunk) => chunk.slice());
      const decoded = decodeChunks(framing.decoder({ maxMessageBytes }), chunks);
      assertEquals(decoded.messages.length, messages.length);
      decoded.messages.forEach((message, i) => assertEquals(message, messages[i]));
      assertEquals(decoded.outcome, outcome);
      assertEquals(chunks, before, "the chunks were written to");
    }
  });
}

function* longCuts(input: Uint8Array): Generator<Uint8Array[]> {
  yield [input.slice()];
  for (const at of [1, 2, 3, 4, input.length >> 1, input.length - 2, input.length - 1]) {
    yield [input.slice(0, at), input.slice(at)];
    yield [input.slice(0, 1), input.slice(1, at), input.slice(at)];
  }
}
