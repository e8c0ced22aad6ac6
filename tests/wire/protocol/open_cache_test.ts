// Tests of OPEN frames that are made and read once: the same as if each were made and read anew.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "@parley/parley";
import { encodeFrame, LENGTH_BYTES, readOpen } from "../../../wire/protocol/frames.ts";
import { encodeOpen, readKnownOpen } from "../../../wire/protocol/open_cache.ts";

const text = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

Deno.test("encodeOpen makes what encodeFrame makes, however often and for however many names", () => {
  const opens = [
    { name: "a" },
    { name: "a", to: "b" },
    { name: "a", to: "b", meta: {} },
    { name: "a", meta: { x: 1 } },
    { name: "a", from: "b" },
    { name: "a", waitMs: 5 },
    { name: "x".repeat(255), to: "y".repeat(255) },
    ...Array.from({ length: 600 }, (_, index) => ({ name: `name-${index}` })),
  ];
  for (let round = 0; round < 2; round++) {
    for (const open of opens) {
      const read = readOpen(encodeOpen(open).subarray(LENGTH_BYTES));
      assertEquals(read, readOpen(encodeFrame(open).subarray(LENGTH_BYTES)));
    }
  }
});

Deno.test("readKnownOpen reads what readOpen reads, and gives each stream a meta of its own", () => {
  const frames = [
    text({ name: "a" }),
    text({ name: "b", to: "c" }),
    text({ name: "a", meta: { x: 1 } }),
    text({ name: "a", from: "me", waitMs: 7 }),
    ...Array.from({ length: 600 }, (_, index) => text({ name: `name-${index}` })),
  ];
  for (let round = 0; round < 3; round++) {
    for (const frame of frames) assertEquals(readKnownOpen(frame), readOpen(frame));
  }
  const [first, second] = [
    readKnownOpen(text({ name: "own" })),
    readKnownOpen(text({ name: "own" })),
  ];
  assert(first.meta !== second.meta);
  // The bytes of a frame are the peer's: they may be used again.
  const reused = text({ name: "aa" });
  readKnownOpen(reused);
  reused.set(text({ name: "ab" }));
  assertEquals(readKnownOpen(text({ name: "aa" })).name, "aa");
  assertEquals(readKnownOpen(reused).name, "ab");
});

Deno.test("readKnownOpen refuses what readOpen refuses, each time", () => {
  for (const bad of ["{}", "[]", "x", '{"name":""}', '{"name":"a","__proto__":{}}']) {
    for (let round = 0; round < 2; round++) {
      assertThrows(() => readKnownOpen(text(bad)), ProtocolError);
    }
  }
});
