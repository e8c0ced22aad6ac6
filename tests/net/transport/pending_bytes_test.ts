// PendingBytes: what is joined, what goes out from where it lies, and what is dropped.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LARGE_BYTES, SMALL_BYTES } from "../../../net/transport/buffers.ts";
import { PendingBytes } from "../../../net/transport/pending_bytes.ts";

function fill(pending: PendingBytes, bytes: number[]): void {
  pending.room(bytes.length).set(bytes, pending.filled);
  pending.filled += bytes.length;
}

Deno.test("PendingBytes joins small frames in one segment", () => {
  const pending = new PendingBytes();
  fill(pending, [1, 2]);
  fill(pending, [3]);
  assertEquals([pending.size, pending.filled], [0, 3]);
  pending.seal();
  assertEquals([pending.size, pending.filled], [1, 0]);
  assertEquals(pending.take()?.bytes, new Uint8Array([1, 2, 3]));
  assertEquals(pending.take(), undefined);
});

for (
  const [size, segments, capacity] of [
    [SMALL_BYTES - 3, 0, SMALL_BYTES],
    [SMALL_BYTES - 2, 0, LARGE_BYTES],
    [LARGE_BYTES - 3, 0, LARGE_BYTES],
    [LARGE_BYTES - 2, 1, LARGE_BYTES],
  ] as const
) {
  Deno.test(`PendingBytes.room() behind 3 bytes has room for ${size} in a buffer of ${capacity}`, () => {
    const pending = new PendingBytes();
    fill(pending, [1, 2, 3]);
    const room = pending.room(size);
    assertEquals([pending.size, room.length], [segments, capacity]);
    assertEquals(pending.filled, segments === 0 ? 3 : 0);
    pending.seal();
    assertEquals(pending.take()?.bytes, new Uint8Array([1, 2, 3]));
  });
}

Deno.test("PendingBytes.pushOwn() slices large data, and its last slice says when all is written", () => {
  const pending = new PendingBytes();
  const data = new Uint8Array(600_000).map((_, at) => at % 251);
  const written = Promise.withResolvers<void>();
  pending.pushOwn(data, 1, written);
  const parts = Array.from({ length: pending.size }, () => pending.take()!);
  assertEquals(parts.map(({ length }) => length), [262_144, 262_144, 75_711]);
  assertEquals(parts.map((part) => part.written === null), [true, true, false]);
  assert(parts.every(({ bytes, buffer }) => bytes.buffer === data.buffer && buffer === null));
});

Deno.test("PendingBytes.takeAtMost() takes the first bytes, and the buffer goes with the last of them", () => {
  const pending = new PendingBytes();
  assertEquals(pending.takeAtMost(2), undefined);
  fill(pending, [1, 2, 3, 4, 5]);
  pending.seal();
  const parts = [pending.takeAtMost(2)!, pending.takeAtMost(2)!, pending.takeAtMost(2)!];
  assertEquals(parts.map(({ bytes }) => [...bytes]), [[1, 2], [3, 4], [5]]);
  assertEquals(parts.map(({ buffer }) => buffer === null), [true, true, false]);
  assertEquals(pending.size, 0);
});

Deno.test("PendingBytes.drop() drops everything, and rejects the wait for large data", async () => {
  const pending = new PendingBytes();
  const written = Promise.withResolvers<void>();
  pending.pushOwn(new Uint8Array(10), 0, written);
  fill(pending, [1]);
  pending.drop(new Error("The link is gone"));
  assertEquals([pending.size, pending.filled, pending.take()], [0, 0, undefined]);
  await assertRejects(() => written.promise, Error, "The link is gone");
});
