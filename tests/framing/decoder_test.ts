// What every decoder keeps to: who owns the bytes, what an error leaves, what memory and work it takes.
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FramingError } from "../../errors.ts";
import {
  chunked,
  delimited,
  fixedLength,
  type FrameDecoder,
  type Framing,
  lengthPrefixed,
  MAX_MESSAGE_BYTES,
  raw,
  varintPrefixed,
} from "../../framing.ts";
import { concat, cutEvery, hex, pattern, utf8 } from "../support/bytes.ts";
import { Collected } from "../support/collected.ts";
import { decodeChunks } from "./models.ts";

const MIB = 2 ** 20;

function takeAll(decoder: FrameDecoder): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
    messages.push(message);
  }
  return messages;
}

Deno.test("FrameDecoder gives messages that later chunks do not change", () => {
  const framings: readonly [Framing, Uint8Array][] = [
    [delimited("\n"), utf8("first\nsecond\nthird\n")],
    [delimited("\r\n"), utf8("first\r\nsecond\r\nthird\r\n")],
    [lengthPrefixed({ bytes: 1 }), utf8("\x05first\x06second\x05third")],
    [varintPrefixed(), utf8("\x05first\x06second\x05third")],
    [chunked(), utf8("\x05first\0\x03sec\x03ond\0\x05third\0")],
    [fixedLength(5), utf8("first" + "secon" + "third")],
  ];
  for (const [framing, input] of framings) {
    for (const size of [1, 2, 3, 7, 100]) {
      const decoder = framing.decoder({ maxMessageBytes: 100 });
      const seen: Uint8Array[] = [];
      const copies: Uint8Array[] = [];
      for (const chunk of cutEvery(input, size)) {
        decoder.push(chunk);
        for (const message of takeAll(decoder)) {
          seen.push(message);
          copies.push(message.slice());
        }
      }
      assertEquals(seen.length, 3);
      assertEquals(seen, copies);
      // No two messages share bytes: the owner of one may write to it.
      seen.forEach((message) => message.fill(0));
      for (let i = 0; i < 50; i++) decoder.push(utf8("\n"));
      seen.forEach((message) => assert(message.every((byte) => byte === 0)));
    }
  }
});

Deno.test("FrameDecoder holds chunks that wait without mixing them up, tiny ones too", () => {
  const decoder = lengthPrefixed({ bytes: 2 }).decoder({ maxMessageBytes: 70_000 });
  const messages = Array.from({ length: 300 }, (_, i) => pattern((i * 37) % 900, i));
  const input = concat(
    messages.flatMap((message) => [new Uint8Array([message.length >> 8, message.length]), message]),
  );
  const taken: Uint8Array[] = [];
  let at = 0;
  // Sizes around the one up to which chunks are copied together, with messages taken out in between.
  for (let i = 0; at < input.length; i++) {
    const size = [1, 1, 1, 255, 256, 2, 700, 3][i % 8]!;
    decoder.push(input.slice(at, at + size));
    at = Math.min(at + size, input.length);
    const consumed = taken.reduce((sum, message) => sum + 2 + message.length, 0);
    assertEquals(decoder.heldBytes, at - consumed);
    if (i % 5 === 0) {
      const message = decoder.next();
      if (message !== undefined) taken.push(message);
    }
  }
  taken.push(...takeAll(decoder));
  assertEquals(taken, messages);
  assertEquals(decoder.heldBytes, 0);
  decoder.end();
});

Deno.test("FrameDecoder gives views of the chunk, without a copy, when a message lies in one", () => {
  const chunk = utf8("one\ntwo\n");
  const decoder = delimited("\n").decoder({ maxMessageBytes: 10 });
  decoder.push(chunk);
  assertStrictEquals(decoder.next()!.buffer, chunk.buffer);

  const prefixed = lengthPrefixed().decoder({ maxMessageBytes: 10 });
  prefixed.push(hex("000000"));
  assertEquals(prefixed.next(), undefined);
  const rest = hex("03 010203");
  prefixed.push(rest);
  assertStrictEquals(prefixed.next()!.buffer, rest.buffer);

  const fixed = fixedLength(2).decoder({ maxMessageBytes: 10 });
  const records = hex("0102 0304");
  fixed.push(records);
  assertStrictEquals(fixed.next()!.buffer, records.buffer);
});

Deno.test("FrameDecoder throws the same error for ever once it has failed", () => {
  const broken: readonly [Framing, Uint8Array][] = [
    [delimited("\n"), utf8("ok\n12345678901\nok\n")],
    [delimited("\r\n"), utf8("ok\r\n12345678901\r\nok\r\n")],
    [lengthPrefixed({ bytes: 1 }), hex("0201020b")],
    [varintPrefixed(), hex("0201028000")],
    [chunked(), hex("010101020001018000")],
  ];
  for (const [framing, input] of broken) {
    const decoder = framing.decoder({ maxMessageBytes: 10 });
    decoder.push(input);
    assertEquals(decoder.next()?.length, 2);
    const first = assertThrows(() => decoder.next(), FramingError);
    assertStrictEquals(assertThrows(() => decoder.next()), first);
    decoder.push(input);
    assertStrictEquals(assertThrows(() => decoder.next()), first);
    assertStrictEquals(assertThrows(() => decoder.end()), first);
  }
});

Deno.test("FrameDecoder throws the same error for ever once the input ended inside a message", () => {
  for (
    const framing of [
      delimited("\n"),
      lengthPrefixed(),
      varintPrefixed(),
      chunked(),
      fixedLength(4),
    ]
  ) {
    const decoder = framing.decoder({ maxMessageBytes: 10 });
    decoder.push(hex("03 02"));
    assertEquals(decoder.next(), undefined);
    const first = assertThrows(() => decoder.end(), FramingError);
    assertEquals(first.code, "ERR_FRAME_TRUNCATED");
    assertStrictEquals(assertThrows(() => decoder.next()), first);
  }
});

Deno.test("FrameDecoder ends in order before the first byte and between messages", () => {
  for (
    const framing of [
      delimited("\n"),
      lengthPrefixed({ bytes: 1 }),
      varintPrefixed(),
      fixedLength(2),
      raw(),
    ]
  ) {
    const decoder = framing.decoder({ maxMessageBytes: 10 });
    decoder.end();
    decoder.push(hex("010a"));
    takeAll(decoder);
    decoder.end();
  }
});

Deno.test("raw() gives chunks as they come, and never an empty one", () => {
  const decoder = raw().decoder({ maxMessageBytes: 1 });
  const [first, second] = [pattern(300), pattern(400, 1)];
  decoder.push(first);
  decoder.push(new Uint8Array(0));
  decoder.push(second);
  assertEquals(decoder.heldBytes, 700);
  assertStrictEquals(decoder.next(), first);
  assertEquals(decoder.heldBytes, 400);
  assertStrictEquals(decoder.next(), second);
  assertEquals(decoder.next(), undefined);
  decoder.end();
  decoder.push(hex("010203"));
  assertThrows(() => decoder.end(), FramingError, "3 bytes were not taken");
});

Deno.test("FrameDecoder tells in an error what was wanted and what there was", () => {
  const cases: readonly [Framing, string, string][] = [
    [lengthPrefixed(), "0000000a 0102", "wanted 10 bytes, got 2"],
    [lengthPrefixed(), "0000", "wanted its length, got 2 bytes of it"],
    [lengthPrefixed(), "0000000b", `"maxMessageBytes" is 10: its prefix says 11 bytes`],
    [varintPrefixed(), "8000", "not in the shortest form"],
    [varintPrefixed(), "8080808080", "more than 5 bytes"],
    [chunked(), "03 0102", "its chunk 1 lacks 1 bytes"],
    [chunked(), "02 0102 02 0102", "wanted another chunk or the end after 4 bytes"],
    [
      chunked(),
      "08 0102030405060708 03",
      `"maxMessageBytes" is 10: its 2 chunks so far tell 11 bytes`,
    ],
    [chunked(), "8000", "the length of a chunk is not in the shortest form"],
    [chunked(), "8080808080", "the length of a chunk takes more than 5 bytes"],
    [delimited("\n"), "0102", "wanted the delimiter, got 2 bytes without it"],
    [delimited("\n"), "00".repeat(11), `"maxMessageBytes" is 10: no delimiter came within them`],
    [fixedLength(4), "0102", "wanted 4 bytes, got 2"],
  ];
  for (const [framing, input, text] of cases) {
    const decoder = framing.decoder({ maxMessageBytes: 10 });
    decoder.push(hex(input));
    assertThrows(
      () => {
        takeAll(decoder);
        decoder.end();
      },
      FramingError,
      text,
    );
  }
});

Deno.test("FrameDecoder takes no memory for a length that is only told", () => {
  const told: readonly [Framing, string][] = [
    [lengthPrefixed(), "40000000"],
    [lengthPrefixed({ bytes: 8, endian: "little" }), "0000004000000000"],
    [varintPrefixed(), "8080808004"],
    [chunked(), "8080808004"],
  ];
  const before = Deno.memoryUsage().external;
  const decoders = told.flatMap(([framing, prefix]) =>
    Array.from({ length: 100 }, () => {
      const decoder = framing.decoder({ maxMessageBytes: MAX_MESSAGE_BYTES });
      decoder.push(hex(prefix));
      decoder.push(hex("01"));
      assertEquals(decoder.next(), undefined);
      return decoder;
    })
  );
  assert(Deno.memoryUsage().external - before < 16 * MIB);
  assertEquals(decoders[0]!.heldBytes, 5);
});

Deno.test("FrameDecoder holds at most twice the bytes of a large message that comes slowly", () => {
  const length = 8 * MIB;
  const decoder = lengthPrefixed().decoder({ maxMessageBytes: length });
  const taken = countNewBytes(() => {
    decoder.push(hex("00800000"));
    for (let sent = 0; sent < length / 4; sent += 65536) {
      decoder.push(chunk);
      assertEquals(decoder.next(), undefined);
    }
  });
  // The sum over all growing steps, the last of which is the message itself.
  assert(taken < 3 * length, `${taken} bytes were taken for a quarter of ${length}`);
});

const chunk = pattern(65536);

Deno.test("FrameDecoder looks at each byte a fixed number of times while a delimiter never comes", () => {
  for (const delimiter of ["\n", "\r\n", "\r\n\r\n", "aaaaaaab"]) {
    for (const size of [1, 7, 64, 4096]) {
      const cost = (bytes: number) => {
        const decoder = delimited(delimiter).decoder({ maxMessageBytes: bytes });
        const input = new Uint8Array(bytes).fill(
          delimiter.charCodeAt(0) === 10 ? 32 : delimiter.charCodeAt(0),
        );
        const pieces = cutEvery(input, size).map((piece) => new CountedBytes(piece));
        CountedBytes.scanned = 0;
        const copied = countNewBytes(() =>
          assertEquals(decodeChunks(decoder, pieces).messages, [])
        );
        return CountedBytes.scanned + copied;
      };
      const [small, large] = [cost(8192), cost(32768)];
      assert(
        large < 4 * small * 1.5,
        `${delimiter.length} bytes cut at ${size}: ${small}, then ${large}`,
      );
    }
  }
});

Deno.test("FrameDecoder does not look through the rest of a chunk for each message of it", () => {
  const input = new CountedBytes(utf8("x\n".repeat(30_000)));
  const decoder = delimited("\n").decoder({ maxMessageBytes: 100 });
  decoder.push(input);
  CountedBytes.scanned = 0;
  assertEquals(takeAll(decoder).length, 30_000);
  assert(CountedBytes.scanned <= 2 * input.length);
});

Deno.test("FrameDecoder copies tiny chunks together while they wait: single bytes do not cost an object each", () => {
  const decoder = raw().decoder({ maxMessageBytes: 100 });
  decoder.push(pattern(1000));
  const copied = countNewBytes(() => {
    for (let i = 0; i < 100_000; i++) decoder.push(new Uint8Array([i]));
  });
  assertEquals(decoder.heldBytes, 101_000);
  assert(copied < 120_000, `${copied} bytes were taken`);
  const chunks = takeAll(decoder);
  assert(chunks.length < 30, `${chunks.length} chunks`);
  assert(concat(chunks).subarray(1000).every((byte, i) => byte === (i & 0xff)));
});

Deno.test("FrameDecoder takes the memory of a message of up to 64 KiB once, as soon as its length is known", () => {
  for (const framing of [lengthPrefixed(), fixedLength(60_000)]) {
    const decoder = framing.decoder({ maxMessageBytes: 100_000 });
    const input = framing.name.startsWith("fixed")
      ? pattern(60_000)
      : concat([hex("0000ea60"), pattern(60_000)]);
    const pieces = cutEvery(input, 1000);
    let messages: Uint8Array[] = [];
    const taken = countNewBytes(() => messages = decodeChunks(decoder, pieces).messages);
    assertEquals(messages, [pattern(60_000)]);
    assert(taken <= 60_000, `${taken} bytes were taken`);
  }
});

/** Bytes that count how far `indexOf` had to look. */
class CountedBytes extends Uint8Array {
  static scanned = 0;

  override indexOf(byte: number, from = 0): number {
    const found = super.indexOf(byte, from);
    CountedBytes.scanned += (found === -1 ? this.length : found + 1) - from;
    return found;
  }
}

/** Bytes of all arrays that are made by length while `body` runs. */
function countNewBytes(body: () => void): number {
  const Real = Uint8Array;
  let bytes = 0;
  const Counting = new Proxy(Real, {
    construct(target, args, newTarget) {
      const made = Reflect.construct(target, args, newTarget);
      if (typeof args[0] === "number") bytes += args[0];
      return made;
    },
  });
  globalThis.Uint8Array = Counting;
  try {
    body();
  } finally {
    globalThis.Uint8Array = Real;
  }
  assertInstanceOf(new Uint8Array(1), Real);
  return bytes;
}

// Few: each is let go at once. Many: so it stays, in a long life.
for (const chunks of [50, 500]) {
  Deno.test(`FrameDecoder lets go of what it gave out, also while it never runs empty: ${chunks} chunks`, async () => {
    const size = 65_536;
    const decoder = lengthPrefixed().decoder({ maxMessageBytes: size });
    const collected = new Collected();
    const push = () => {
      const chunk = new Uint8Array(size);
      new DataView(chunk.buffer).setUint32(0, size - 4);
      collected.watch(chunk.buffer);
      decoder.push(chunk);
    };
    push();
    push();
    for (let count = 0; count < chunks; count++) {
      push();
      assertEquals(decoder.next()?.length, size - 4);
    }
    assertEquals(decoder.heldBytes, 2 * size);
    const wanted = chunks / 2;
    assert(
      await collected.reached(wanted) >= wanted,
      `${collected.count} of ${chunks} were let go`,
    );
    assertEquals(decoder.heldBytes, 2 * size);
  });
}

Deno.test("chunked() takes linear time and twice the memory for a message in chunks of one byte", () => {
  const length = 2 * MIB;
  const decoder = chunked().decoder({ maxMessageBytes: length });
  const input = new Uint8Array(2 * length + 1);
  for (let at = 0; at < length; at++) input.set([1, at], 2 * at);
  const began = performance.now();
  for (const chunk of cutEvery(input, 1000)) {
    decoder.push(chunk);
    if (decoder.heldBytes < input.length) assertEquals(decoder.next(), undefined);
  }
  const message = decoder.next()!;
  assertEquals(message.length, length);
  assert(message.every((byte, at) => byte === (at & 0xff)));
  assert(message.buffer.byteLength <= 4 * length + 65_536);
  assert(performance.now() - began < 10_000);
});
