// Tests of the frame header and the pushed decoder.
import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../errors.ts";
import { decodeHeader, encodeHeader, type FrameHeader, FrameReader } from "../../mux/header.ts";

const GOOD: readonly [string, FrameHeader, string][] = [
  ["a data frame", { type: 0, flags: 0, streamId: 1, length: 5 }, "00 00 0000 00000001 00000005"],
  [
    "an opening window update",
    { type: 1, flags: 1, streamId: 3, length: 0 },
    "00 01 0001 00000003 00000000",
  ],
  [
    "an accepting window update",
    { type: 1, flags: 2, streamId: 2, length: 262144 },
    "00 01 0002 00000002 00040000",
  ],
  [
    "data, opening and ending",
    { type: 0, flags: 5, streamId: 9, length: 1 },
    "00 00 0005 00000009 00000001",
  ],
  [
    "a reset",
    { type: 1, flags: 8, streamId: 4294967295, length: 0 },
    "00 01 0008 ffffffff 00000000",
  ],
  [
    "a ping",
    { type: 2, flags: 1, streamId: 0, length: 4294967295 },
    "00 02 0001 00000000 ffffffff",
  ],
  [
    "an answer to a ping",
    { type: 2, flags: 2, streamId: 0, length: 7 },
    "00 02 0002 00000000 00000007",
  ],
  ["a go-away", { type: 3, flags: 0, streamId: 0, length: 1 }, "00 03 0000 00000000 00000001"],
];

const BAD: readonly [string, string, string][] = [
  ["version 1", "01 00 0000 00000001 00000000", "ERR_MUX_VERSION"],
  ["version 255", "ff 00 0000 00000001 00000000", "ERR_MUX_VERSION"],
  ["type 4", "00 04 0000 00000001 00000000", "ERR_MUX_TYPE"],
  ["type 255", "00 ff 0000 00000001 00000000", "ERR_MUX_TYPE"],
  ["an unknown flag", "00 00 0010 00000001 00000000", "ERR_MUX_FLAGS"],
  ["a flag in the high byte", "00 00 0100 00000001 00000000", "ERR_MUX_FLAGS"],
  ["SYN with ACK on a stream", "00 01 0003 00000001 00000000", "ERR_MUX_FLAGS"],
  ["a ping without flags", "00 02 0000 00000000 00000000", "ERR_MUX_FLAGS"],
  ["a ping with both flags", "00 02 0003 00000000 00000000", "ERR_MUX_FLAGS"],
  ["a ping with FIN", "00 02 0005 00000000 00000000", "ERR_MUX_FLAGS"],
  ["a go-away with a flag", "00 03 0001 00000000 00000000", "ERR_MUX_FLAGS"],
  ["data on stream 0", "00 00 0000 00000000 00000001", "ERR_MUX_STREAM_ID"],
  ["a window update on stream 0", "00 01 0000 00000000 00000001", "ERR_MUX_STREAM_ID"],
  ["a ping on a stream", "00 02 0001 00000001 00000000", "ERR_MUX_STREAM_ID"],
  ["a go-away on a stream", "00 03 0000 00000002 00000000", "ERR_MUX_STREAM_ID"],
];

function fromHex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

Deno.test("encodeHeader and decodeHeader agree with the table of good headers", async (t) => {
  for (const [name, header, hex] of GOOD) {
    await t.step(name, () => {
      assertEquals(encodeHeader(header), fromHex(hex));
      assertEquals(decodeHeader(fromHex(hex)), header);
    });
  }
});

Deno.test("decodeHeader refuses each bad header with its code", async (t) => {
  for (const [name, hex, code] of BAD) {
    await t.step(name, () => {
      const error = assertThrows(() => decodeHeader(fromHex(hex)), ProtocolError);
      assertEquals(error.code, code);
    });
  }
});

/** What a reader makes of chunks: headers, and the bodies joined per frame. */
function readFrames(chunks: Iterable<Uint8Array>): [FrameHeader, number[]][] {
  const frames: [FrameHeader, number[]][] = [];
  const reader = new FrameReader({
    onHeader: (header) => frames.push([header, []]),
    onBody: (bytes) => frames.at(-1)?.[1].push(...bytes),
  });
  for (const chunk of chunks) reader.push(chunk);
  assertEquals(reader.atBoundary, true);
  return frames;
}

const FLOW = fromHex(
  "000100010000000100000000" + "00000000000000010000000568656c6c6f" + "000200010000000000000009" +
    "000000040000000100000000" + "00000000000000030000000141" + "000300000000000000000000",
);

Deno.test("FrameReader gives the same frames whole, byte by byte, and split at every point", () => {
  const whole = readFrames([FLOW]);
  assertEquals(whole.map(([header, body]) => [header.type, header.streamId, body.length]), [
    [1, 1, 0],
    [0, 1, 5],
    [2, 0, 0],
    [0, 1, 0],
    [0, 3, 1],
    [3, 0, 0],
  ]);
  assertEquals(readFrames([...FLOW].map((byte) => Uint8Array.of(byte))), whole);
  for (let cut = 0; cut <= FLOW.length; cut++) {
    assertEquals(readFrames([FLOW.subarray(0, cut), FLOW.subarray(cut)]), whole);
  }
});

Deno.test("FrameReader judges a header before any byte of its body", () => {
  const reader = new FrameReader({
    onHeader: () => {
      throw new ProtocolError("ERR_MUX_WINDOW", "Too much");
    },
    onBody: () => {
      throw new Error("The body must not be looked at");
    },
  });
  assertThrows(() => reader.push(fromHex("0000000000000001ffffffff")), ProtocolError);
});

Deno.test("FrameReader is poisoned by an error and repeats it", () => {
  const reader = new FrameReader({ onHeader: () => {}, onBody: () => {} });
  const first = assertThrows(() => reader.push(fromHex("010000000000000100000000")), ProtocolError);
  const second = assertThrows(
    () => reader.push(fromHex("000100010000000100000000")),
    ProtocolError,
  );
  assertEquals(second, first);
});

Deno.test("FrameReader knows whether it stands between frames", () => {
  const reader = new FrameReader({ onHeader: () => {}, onBody: () => {} });
  assertEquals(reader.atBoundary, true);
  reader.push(FLOW.subarray(0, 5));
  assertEquals(reader.atBoundary, false);
  reader.push(FLOW.subarray(5, 12));
  assertEquals(reader.atBoundary, true);
  reader.push(FLOW.subarray(12, 26));
  assertEquals(reader.atBoundary, false);
});
