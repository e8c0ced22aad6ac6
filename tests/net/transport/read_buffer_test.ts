// ReadBuffer: sizes, ownership and memory.
import { assert, assertEquals } from "@std/assert";
import { ReadBuffer } from "../../../net/transport/read_buffer.ts";

Deno.test("ReadBuffer starts with 4 KiB and doubles to 64 KiB while reads come back full", () => {
  const buffer = new ReadBuffer();
  const sizes: number[] = [];
  for (let i = 0; i < 7; i++) {
    const space = buffer.space();
    sizes.push(space.length);
    buffer.take(space.length);
  }
  assertEquals(sizes.map((size) => size / 1024), [4, 8, 16, 32, 64, 64, 64]);
});

Deno.test("ReadBuffer goes back to 4 KiB while reads are small", () => {
  const buffer = new ReadBuffer();
  for (let i = 0; i < 5; i++) buffer.take(buffer.space().length);
  assertEquals(buffer.space().length, 64 * 1024);
  for (let i = 0; i < 7; i++) {
    buffer.space();
    buffer.take(10);
  }
  assert(buffer.space().length > 60_000, "a few small reads change nothing");
  for (let i = 0; i < 40; i++) {
    buffer.space();
    buffer.take(10);
  }
  assert(buffer.space().length <= 4096);
});

Deno.test("ReadBuffer never hands out bytes twice", () => {
  const buffer = new ReadBuffer();
  const seen = new Map<ArrayBufferLike, number>();
  for (let i = 0; i < 5000; i++) {
    const space = buffer.space();
    const chunk = buffer.take(1 + (i * 7919) % space.length);
    assertEquals(chunk.buffer, space.buffer);
    const used = seen.get(chunk.buffer) ?? 0;
    assert(chunk.byteOffset >= used);
    seen.set(chunk.buffer, chunk.byteOffset + chunk.length);
  }
});

Deno.test("ReadBuffer gives at least 1 KiB, and twice what was read last, to read into", () => {
  for (const length of [1, 100, 1000, 3000, 15_000]) {
    const buffer = new ReadBuffer();
    for (let i = 0; i < 100; i++) {
      assert(
        buffer.space().length >= Math.max(1024, i < 10 ? 0 : 2 * length),
        `after ${i} of ${length}`,
      );
      buffer.take(Math.min(length, buffer.space().length));
    }
  }
});

Deno.test("ReadBuffer.release() lets go of the buffer", () => {
  const buffer = new ReadBuffer();
  const first = buffer.space();
  buffer.release();
  assert(buffer.space().buffer !== first.buffer);
});

Deno.test("ReadBuffer grows until some messages of one size fit, and no further", () => {
  for (
    const { length, bytes } of [
      { length: 10, bytes: 4096 },
      { length: 500, bytes: 4096 },
      { length: 1000, bytes: 8192 },
      { length: 4096, bytes: 32768 },
    ]
  ) {
    const buffer = new ReadBuffer();
    for (let i = 0; i < 1000; i++) {
      const space = buffer.space();
      if (i > 500) assertEquals(space.buffer.byteLength, bytes, `after ${i} messages of ${length}`);
      buffer.take(length);
    }
  }
});

for (
  const { what, length, pauseMs, bytes } of [
    { what: "a small read after silence", length: 10, pauseMs: 5000, bytes: 4096 },
    { what: "a large read after silence", length: 8000, pauseMs: 5000, bytes: 65536 },
    { what: "a small read soon after", length: 10, pauseMs: 4999, bytes: 65536 },
  ]
) {
  Deno.test(`ReadBuffer of full reads has ${bytes} bytes after ${what}`, () => {
    const { now } = Date;
    let nowMs = now();
    Date.now = () => nowMs;
    try {
      const buffer = new ReadBuffer();
      for (let i = 0; i < 10; i++) buffer.take(buffer.space().length);
      buffer.space();
      nowMs += pauseMs;
      buffer.take(length);
      assertEquals(buffer.space().buffer.byteLength, bytes);
    } finally {
      Date.now = now;
    }
  });
}

Deno.test("ReadBuffer reads again into what was given back, and only into that", () => {
  const buffer = new ReadBuffer();
  const first = buffer.space();
  const chunk = buffer.take(1000);
  buffer.reuse(chunk);
  assertEquals(buffer.space(), first);
  const held = buffer.take(1000);
  buffer.space();
  const next = buffer.take(500);
  // Not the last one: a reader may hold what lies behind it.
  buffer.reuse(held);
  assert(buffer.space().byteOffset >= next.byteOffset + next.length);
  buffer.reuse(new Uint8Array(next));
  assert(buffer.space().byteOffset >= next.byteOffset + next.length);
  buffer.reuse(next);
  assertEquals(buffer.space().byteOffset, next.byteOffset);
});

Deno.test("ReadBuffer grows while full reads are given back", () => {
  const buffer = new ReadBuffer();
  const sizes: number[] = [];
  for (let i = 0; i < 7; i++) {
    const space = buffer.space();
    sizes.push(space.length);
    buffer.reuse(buffer.take(space.length));
  }
  assertEquals(sizes.map((size) => size / 1024), [4, 8, 16, 32, 64, 64, 64]);
});
