// The frame decoder: good and bad bytes, every split, and what it holds.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { FramingError, ParleyError } from "../../../errors.ts";
import {
  encodeFrame,
  FRAME_HEAD_BYTES,
  FrameKind,
  IpcFrameReader,
} from "../../../ipc/protocol/frames.ts";
import { MAX_TRACE_CONTEXT_BYTES } from "../../../stats/telemetry/trace_context.ts";
import { concat, newSeed, Random } from "../support.ts";

type Frame = [kind: number, tag: number, data: Uint8Array];

function decode(chunks: readonly Uint8Array[], maxDataBytes = 1000): Frame[] {
  const decoder = new IpcFrameReader(maxDataBytes);
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk, (kind, tag, data) => frames.push([kind, tag, data]));
  }
  decoder.end();
  return frames;
}

const FRAMES: readonly Frame[] = [
  [FrameKind.message, 1, new Uint8Array([1, 2, 3])],
  [FrameKind.message, 2 ** 32 - 1, new Uint8Array(0)],
  [FrameKind.query, 0, new Uint8Array([4])],
  [FrameKind.answer, 7, new Uint8Array(20).fill(5)],
  [FrameKind.failure, 7, new TextEncoder().encode("ERR_X: no")],
  [FrameKind.ping, 0x01020304, new Uint8Array(0)],
  [FrameKind.pong, 0x01020304, new Uint8Array(0)],
  [FrameKind.closing, 0, new Uint8Array(0)],
];

const WIRE = concat(FRAMES.map(([kind, tag, data]) => encodeFrame(kind as FrameKind, tag, data)));

Deno.test("encodeFrame lays out length, kind, tag and data", () => {
  assertEquals(
    encodeFrame(FrameKind.message, 0x0a0b0c0d, new Uint8Array([9])),
    new Uint8Array([0, 0, 0, 6, 1, 0x0a, 0x0b, 0x0c, 0x0d, 9]),
  );
});

Deno.test("IpcFrameReader gives the same frames whole, byte by byte, and split at every point", () => {
  assertEquals(decode([WIRE]), [...FRAMES]);
  assertEquals(decode(Array.from(WIRE, (byte) => new Uint8Array([byte]))), [...FRAMES]);
  for (let at = 0; at <= WIRE.length; at++) {
    assertEquals(decode([WIRE.subarray(0, at), WIRE.subarray(at)]), [...FRAMES], `split at ${at}`);
  }
});

Deno.test("IpcFrameReader agrees with what was sent on random frames in random chunks", () => {
  const seed = newSeed();
  const random = new Random(seed);
  for (let round = 0; round < 30; round++) {
    const frames: Frame[] = Array.from({ length: 1 + random.below(20) }, () => [
      FrameKind.message,
      1 + random.below(1000),
      random.bytes(random.below([10, 300, 200_000][random.below(3) === 0 ? 2 : random.below(2)]!)),
    ]);
    let rest = concat(frames.map(([kind, tag, data]) => encodeFrame(kind as FrameKind, tag, data)));
    const chunks: Uint8Array[] = [];
    while (rest.length > 0) {
      const count = 1 + random.below(random.below(2) === 0 ? 20 : 65536);
      chunks.push(rest.subarray(0, count));
      rest = rest.subarray(count);
    }
    assertEquals(decode(chunks, 200_000), frames, `seed ${seed} round ${round}`);
  }
});

Deno.test("IpcFrameReader refuses bad heads from nine bytes alone, and stays broken", () => {
  const head = (length: number, kind: number, tag: number) => {
    const bytes = new Uint8Array(FRAME_HEAD_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, length);
    bytes[4] = kind;
    view.setUint32(5, tag);
    return bytes;
  };
  const cases: [string, Uint8Array][] = [
    ["ERR_FRAME_MALFORMED", head(4, 1, 1)],
    ["ERR_FRAME_MALFORMED", head(0, 1, 1)],
    ["ERR_FRAME_TOO_LARGE", head(1006, 1, 1)],
    ["ERR_FRAME_TOO_LARGE", head(2 ** 32 - 1, 1, 1)],
    ["ERR_IPC_FRAME", head(5, 0, 1)],
    ["ERR_IPC_FRAME", head(6 + MAX_TRACE_CONTEXT_BYTES, 8, 1)],
    ["ERR_IPC_FRAME", head(6, 9, 1)],
    ["ERR_IPC_FRAME", head(6, 10, 1)],
    ["ERR_IPC_FRAME", head(5, 10, 0)],
    ["ERR_IPC_FRAME", head(5, 11, 1)],
    ["ERR_IPC_FRAME", head(5, 255, 1)],
    ["ERR_IPC_FRAME", head(5, 1, 0)],
    ["ERR_IPC_FRAME", head(6, 5, 1)],
    ["ERR_IPC_FRAME", head(6, 6, 1)],
    ["ERR_IPC_FRAME", head(6, 7, 1)],
  ];
  for (const [code, bytes] of cases) {
    for (const chunks of [[bytes], Array.from(bytes, (byte) => new Uint8Array([byte]))]) {
      const decoder = new IpcFrameReader(1000);
      const push = () => chunks.forEach((chunk) => decoder.push(chunk, () => {}));
      assertEquals(assertThrows(push, ParleyError).code, code, `${bytes}`);
      assertThrows(() => decoder.push(WIRE, () => {}), ParleyError);
    }
  }
  assertEquals(decode([encodeFrame(FrameKind.message, 1, new Uint8Array(1000))]).length, 1);
  assertThrows(
    () => decode([encodeFrame(FrameKind.failure, 1, new Uint8Array(1025))], 5000),
    ParleyError,
  );
});

Deno.test("IpcFrameReader tells an input that ended inside a frame", () => {
  for (let at = 1; at < 12; at++) {
    const error = assertThrows(() => decode([WIRE.subarray(0, at)]), FramingError);
    assertEquals(error.code, "ERR_FRAME_TRUNCATED");
  }
});

Deno.test("IpcFrameReader holds what has come, not what was announced", () => {
  const decoder = new IpcFrameReader(2 ** 30);
  const bytes = new Uint8Array(FRAME_HEAD_BYTES + 10);
  new DataView(bytes.buffer).setUint32(0, 2 ** 30);
  bytes[4] = 1;
  bytes[8] = 1;
  const before = Deno.memoryUsage().external;
  decoder.push(bytes, () => {});
  assertEquals([decoder.heldBytes, decoder.inFrame], [10, true]);
  assert(Deno.memoryUsage().external - before < 2 ** 20);
});
