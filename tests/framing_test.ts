// What framings refuse: wrong options when they are made, and messages that must not be sent.
import { assertEquals, assertThrows } from "@std/assert";
import { FramingError } from "../errors.ts";
import {
  chunked,
  type ChunkedOptions,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  type LengthPrefixedOptions,
  MAX_MESSAGE_BYTES,
  raw,
  varintPrefixed,
} from "../framing.ts";
import { hex, utf8 } from "./support/bytes.ts";

function assertRefused(
  framing: Framing,
  message: Uint8Array,
  code: string,
  maxMessageBytes = 16,
): void {
  const encoder = framing.encoder({ maxMessageBytes });
  const error = assertThrows(() => encoder.body(message), FramingError);
  assertEquals(error.code, code);
}

function frame(framing: Framing, message: Uint8Array, maxMessageBytes = 16): Uint8Array {
  const encoder = framing.encoder({ maxMessageBytes });
  const body = encoder.body(message);
  const into = new Uint8Array(body.length + encoder.maxOverhead + 6).fill(0xee);
  // At an offset: frames are written one behind the other, and must leave their neighbours alone.
  const start = encoder.writeHead(body, into, 3);
  into.set(body, start);
  const end = encoder.writeTail(body, into, start + body.length);
  assertEquals([...into.subarray(0, 3), ...into.subarray(end, end + 3)], Array(6).fill(0xee));
  return into.slice(3, end);
}

Deno.test("delimited() takes a string as UTF-8 and bytes as they are", () => {
  assertEquals(frame(delimited("→"), utf8("a")), utf8("a→"));
  assertEquals(frame(delimited(hex("00ff")), hex("01")), hex("0100ff"));
});

Deno.test("delimited() keeps its own copy of the delimiter", () => {
  const delimiter = utf8("\n");
  const framing = delimited(delimiter);
  delimiter[0] = 0;
  assertEquals(frame(framing, utf8("a")), utf8("a\n"));
});

Deno.test("delimited() refuses a delimiter that is empty, too long, or of another type", () => {
  assertThrows(() => delimited(""), TypeError, `"delimiter" must not be empty`);
  assertThrows(() => delimited(new Uint8Array(0)), TypeError, `"delimiter" must not be empty`);
  assertThrows(() => delimited("x".repeat(65)), RangeError, "1 to 64 bytes");
  assertEquals(frame(delimited("x".repeat(64)), utf8("a")).length, 65);
  for (const wrong of [undefined, null, 10, [10], {}, new ArrayBuffer(1)]) {
    assertThrows(
      () => delimited(wrong as unknown as string),
      TypeError,
      "must be a string or bytes",
    );
  }
});

Deno.test("delimited() refuses a message that holds its delimiter or would end in one too early", () => {
  const refused: readonly [delimiter: string, message: string][] = [
    ["\n", "a\nb"],
    ["\n", "\n"],
    ["\n", "a\n"],
    ["\r\n", "a\r\nb"],
    ["aa", "a"],
    ["aa", "ba"],
    ["aba", "ab"],
    ["abab", "ab"],
    ["abab", "xxab"],
    ["aaaa", "aaa"],
    ["abcabcabd", "abcabcabd"],
  ];
  for (const [delimiter, message] of refused) {
    assertRefused(delimited(delimiter), utf8(message), "ERR_FRAME_MALFORMED");
  }
  const sent: readonly [delimiter: string, message: string][] = [
    ["\r\n", "\r"],
    ["\r\n", "\n\r"],
    ["aab", "a"],
    ["aab", "aa"],
    ["aba", "a"],
    ["abab", "a"],
    ["abab", "ba"],
    ["abcabcabd", "abcabc"],
  ];
  for (const [delimiter, message] of sent) {
    assertEquals(frame(delimited(delimiter), utf8(message)), utf8(message + delimiter));
  }
});

Deno.test("delimited() tells where a message holds its delimiter", () => {
  const encoder = delimited("aba").encoder({ maxMessageBytes: 16 });
  assertThrows(
    () => encoder.body(utf8("xxabax")),
    FramingError,
    "holds its own delimiter at byte 2",
  );
  assertThrows(
    () => encoder.body(utf8("xxab")),
    FramingError,
    "holds its own delimiter across its end",
  );
});

Deno.test("lengthPrefixed() refuses other sizes and byte orders", () => {
  for (const bytes of [0, 3, 5, 16, -1, 1.5, NaN, "4"]) {
    assertThrows(
      () => lengthPrefixed({ bytes } as LengthPrefixedOptions),
      RangeError,
      `"bytes" must be 1, 2, 4 or 8`,
    );
  }
  assertThrows(
    () => lengthPrefixed({ endian: "middle" } as unknown as LengthPrefixedOptions),
    RangeError,
    "middle",
  );
});

Deno.test("lengthPrefixed() refuses what its prefix cannot tell", () => {
  assertRefused(lengthPrefixed({ bytes: 1 }), new Uint8Array(256), "ERR_FRAME_TOO_LARGE", 1000);
  assertRefused(
    lengthPrefixed({ bytes: 2 }),
    new Uint8Array(65536),
    "ERR_FRAME_TOO_LARGE",
    100_000,
  );
  assertEquals(frame(lengthPrefixed({ bytes: 1 }), new Uint8Array(255), 1000).length, 256);
  assertEquals(frame(lengthPrefixed({ bytes: 2 }), new Uint8Array(65535), 100_000).length, 65537);
});

Deno.test("lengthPrefixed() and varintPrefixed() tell every length in the right bytes", () => {
  const told: readonly [Framing, number, string][] = [
    [lengthPrefixed({ bytes: 1 }), 0xfe, "fe"],
    [lengthPrefixed({ bytes: 2 }), 0x0102, "0102"],
    [lengthPrefixed({ bytes: 2, endian: "little" }), 0x0102, "0201"],
    [lengthPrefixed(), 0x010203, "00010203"],
    [lengthPrefixed(), 0x01020304, "01020304"],
    [lengthPrefixed({ endian: "little" }), 0x01020304, "04030201"],
    [lengthPrefixed({ bytes: 8 }), 0x01020304, "0000000001020304"],
    [lengthPrefixed({ bytes: 8, endian: "little" }), 0x01020304, "0403020100000000"],
    [varintPrefixed(), 0, "00"],
    [varintPrefixed(), 0x7f, "7f"],
    [varintPrefixed(), 0x80, "8001"],
    [varintPrefixed(), 0x3fff, "ff7f"],
    [varintPrefixed(), 0x4000, "808001"],
    [varintPrefixed(), 0x1fffff, "ffff7f"],
    [varintPrefixed(), 0x200000, "80808001"],
  ];
  for (const [framing, length, prefix] of told) {
    const encoder = framing.encoder({ maxMessageBytes: MAX_MESSAGE_BYTES });
    const into = new Uint8Array(16).fill(0xee);
    const end = encoder.writeHead(encoder.body(new Uint8Array(length)), into, 4);
    assertEquals([framing.name, into.subarray(4, end).toHex()], [framing.name, prefix]);
    assertEquals(
      into.subarray(0, 4).toHex() + into.subarray(end, end + 4).toHex(),
      "eeeeeeeeeeeeeeee",
    );
  }
});

Deno.test("chunked() sends a message as one chunk and the end, and an empty one as the end alone", () => {
  assertEquals(frame(chunked(), hex("0a0b")), hex("02 0a0b 00"));
  assertEquals(frame(chunked(), hex("")), hex("00"));
  assertEquals(
    frame(chunked(), new Uint8Array(300), 1000),
    new Uint8Array([0xac, 2, ...new Uint8Array(301)]),
  );
});

Deno.test("chunked() sends parts as chunks, and an empty one as the end", () => {
  const parts = chunked({ sends: "parts" });
  assertEquals(frame(parts, hex("0a0b")), hex("02 0a0b"));
  assertEquals(frame(parts, hex("")), hex("00"));
});

Deno.test("chunked() limits the sum of the parts of a message, and starts anew with the next one", () => {
  const encoder = chunked({ sends: "parts" }).encoder({ maxMessageBytes: 16 });
  encoder.body(new Uint8Array(10));
  const error = assertThrows(
    () => encoder.body(new Uint8Array(7)),
    FramingError,
    "is 16 and leaves 6, it has 7",
  );
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  encoder.body(new Uint8Array(6));
  encoder.body(new Uint8Array(0));
  encoder.body(new Uint8Array(16));
});

Deno.test("chunked() refuses to send anything but messages or parts", () => {
  for (const sends of ["", "part", null, 1]) {
    assertThrows(
      () => chunked({ sends } as unknown as ChunkedOptions),
      TypeError,
      `"sends" must be "messages" or "parts", current value is ${JSON.stringify(sends)}`,
    );
  }
});

Deno.test("fixedLength() refuses a size out of range, and one over the limit of its connection", () => {
  for (const size of [0, -1, 1.5, NaN, Infinity, MAX_MESSAGE_BYTES + 1, "4" as unknown as number]) {
    assertThrows(() => fixedLength(size), RangeError, `"messageBytes" must be 1 to`);
  }
  assertThrows(
    () => fixedLength(17).encoder({ maxMessageBytes: 16 }),
    RangeError,
    "raise the limit",
  );
  assertThrows(
    () => fixedLength(17).decoder({ maxMessageBytes: 16 }),
    RangeError,
    "raise the limit",
  );
  fixedLength(16).decoder({ maxMessageBytes: 16 });
  fixedLength(MAX_MESSAGE_BYTES).decoder({ maxMessageBytes: MAX_MESSAGE_BYTES });
});

Deno.test("fixedLength() refuses messages of another size", () => {
  for (const size of [0, 1, 3, 5]) {
    assertRefused(fixedLength(4), new Uint8Array(size), "ERR_FRAME_MALFORMED");
  }
  assertEquals(frame(fixedLength(4), hex("01020304")), hex("01020304"));
});

Deno.test("FrameEncoder refuses a message over the limit and takes one at it", () => {
  for (
    const framing of [
      delimited("\n"),
      delimited("\r\n"),
      lengthPrefixed(),
      varintPrefixed(),
      chunked(),
    ]
  ) {
    assertRefused(framing, new Uint8Array(17), "ERR_FRAME_TOO_LARGE");
    frame(framing, new Uint8Array(16));
    frame(framing, new Uint8Array(15));
  }
});

Deno.test("raw() adds nothing", () => {
  assertEquals(frame(raw(), hex("0a0b")), hex("0a0b"));
  assertEquals(frame(raw(), hex("")), hex(""));
});

Deno.test("Framing has a name that tells its options", () => {
  assertEquals(
    [
      delimited("\r\n"),
      lengthPrefixed(),
      lengthPrefixed({ bytes: 2, endian: "little" }),
      varintPrefixed(),
    ]
      .map((framing) => framing.name),
    ["delimited(0d 0a)", "lengthPrefixed(4, big)", "lengthPrefixed(2, little)", "varintPrefixed"],
  );
  assertEquals([fixedLength(7).name, raw().name], ["fixedLength(7)", "raw"]);
  assertEquals([chunked().name, chunked({ sends: "parts" }).name], ["chunked", "chunked(parts)"]);
});
