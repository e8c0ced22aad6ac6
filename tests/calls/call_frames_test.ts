// The frames of calls over a connection: tables of good and bad ones, and the order of ids.
import { assertEquals, assertThrows } from "@std/assert";
import {
  bareFrame,
  CallFrame,
  type CallFrameType,
  frameId,
  frameType,
  isAfter,
  replyFrame,
  writeFrameHead,
} from "../../calls/protocol/call_frames.ts";
import { ProtocolError } from "../../errors.ts";

const GOOD: readonly [bytes: number[], type: CallFrameType, id: number][] = [
  [[1, 0, 0, 0, 1, 9], CallFrame.request, 1],
  [[1, 0xff, 0xff, 0xff, 0xff, 0, 0], CallFrame.request, 0xffffffff],
  [[2, 0x80, 0, 0, 0, 1], CallFrame.reply, 0x80000000],
  [[3, 1, 2, 3, 4], CallFrame.cancel, 0x01020304],
  [[4, 0, 0, 0, 0], CallFrame.goingAway, 0],
  [[5, 0, 0, 1, 0], CallFrame.last, 256],
  [[6, 0, 0x10, 0, 0], CallFrame.limit, 2 ** 20],
];

Deno.test("frameType() and frameId() read every kind of frame", () => {
  for (const [bytes, type, id] of GOOD) {
    const frame = new Uint8Array(bytes);
    assertEquals([frameType(frame), frameId(frame)], [type, id], `${bytes}`);
  }
});

Deno.test("writeFrameHead(), replyFrame() and bareFrame() write what is read", () => {
  for (const [bytes, type, id] of GOOD) {
    const written = new Uint8Array(bytes);
    writeFrameHead(written.fill(7, 0, 5), type, id);
    assertEquals(written, new Uint8Array(bytes));
    if (type >= 3) assertEquals(bareFrame(type as 3, id), new Uint8Array(bytes));
  }
  assertEquals(replyFrame(258, new Uint8Array([7, 8])), new Uint8Array([2, 0, 0, 1, 2, 7, 8]));
});

const BAD: readonly [bytes: number[], text: string][] = [
  [[], "it is empty"],
  [[0, 0, 0, 0, 1, 1], "type 0 is unknown"],
  [[7, 0, 0, 0, 1], "type 7 is unknown"],
  [[71, 69, 84, 32, 47], "type 71 is unknown"],
  [[1], "it is cut after 1 bytes"],
  [[1, 0, 0, 0, 1], "it is cut after 5 bytes"],
  [[2, 0, 0, 0, 1], "it is cut after 5 bytes"],
  [[3, 0, 0, 0], "must have 5 bytes, and has 4"],
  [[3, 0, 0, 0, 1, 0], "must have 5 bytes, and has 6"],
  [[4, 0, 0, 0, 0, 0], "must have 5 bytes, and has 6"],
  [[5], "must have 5 bytes, and has 1"],
];

Deno.test("frameType() refuses what is no frame with ERR_CALL_FRAME", () => {
  for (const [bytes, text] of BAD) {
    const error = assertThrows(() => frameType(new Uint8Array(bytes)), ProtocolError, text);
    assertEquals(error.code, "ERR_CALL_FRAME");
  }
});

Deno.test("isAfter() orders ids over the end of u32", () => {
  const TABLE: readonly [id: number, last: number, isAfter: boolean][] = [
    [1, 0, true],
    [0, 0, false],
    [0, 1, false],
    [5, 4, true],
    [5, 5, false],
    [5, 6, false],
    [0x7fffffff, 0, true],
    [0x80000000, 0, false],
    [0x80000000, 1, true],
    [0xffffffff, 0xfffffffe, true],
    [0, 0xffffffff, true],
    [0xffffffff, 0, false],
    [7, 0xfffffff0, true],
  ];
  for (const [id, last, expected] of TABLE) {
    assertEquals(isAfter(id, last), expected, `${id} after ${last}`);
  }
});
