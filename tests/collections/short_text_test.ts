// Short texts and small arrays: the same as the platform's own, at, below and above their sizes.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeText, takeBytes, takeText } from "../../collections/short_text.ts";

const encoder = new TextEncoder();
const plain = (): TextDecoder => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

Deno.test("takeText and decodeText do as the platform does, at every length and with every character", () => {
  const units = ["a", "\u00e9", "\u20ac", "\ufffd", "\ufeff", "\u{1f600}", "\0"];
  for (const unit of units) {
    for (const count of [0, 1, 2, 84, 85, 127, 128, 170, 171, 255, 256, 511, 512, 513, 2000]) {
      for (const text of [unit.repeat(count), `${"x".repeat(count)}${unit}`]) {
        const bytes = encoder.encode(text);
        assertEquals(takeText(text), bytes);
        assertEquals(takeText(text, 3), new Uint8Array([0, 0, 0, ...bytes]));
        const inside = new Uint8Array([1, ...bytes, 2]).subarray(1, 1 + bytes.length);
        assertEquals(decodeText(inside, plain()), text);
        const behind = new Uint8Array([0xff, 0xef, ...bytes]);
        assertEquals(decodeText(behind, plain(), 2), text);
        const dropping = new TextDecoder("utf-8", { fatal: true });
        assertEquals(decodeText(inside, dropping), dropping.decode(bytes));
      }
    }
  }
  assertEquals(takeText("\ud800"), encoder.encode("\ud800"), "a lone surrogate");
});

Deno.test("decodeText refuses what is no UTF-8, as its decoder does", () => {
  for (const bytes of [[0xff], [0x61, 0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    assertThrows(() => decodeText(new Uint8Array(bytes), plain()), TypeError);
  }
});

Deno.test("takeBytes gives zeros that no other array has, small or not", () => {
  const taken: Uint8Array[] = [];
  for (let at = 0; at < 300; at++) {
    for (const length of [0, 1, 100, 511, 512, 513]) {
      const bytes = takeBytes(length);
      assert(bytes.length === length && bytes.every((byte) => byte === 0));
      bytes.fill(at % 255 + 1);
      taken.push(bytes);
    }
    takeText("é".repeat(at % 100));
  }
  taken.forEach((bytes, i) => {
    const value = Math.floor(i / 6) % 255 + 1;
    assert(bytes.every((byte) => byte === value), `array ${i}`);
  });
});

Deno.test("a small array keeps no more than 4 KiB alive", () => {
  assert(takeBytes(1).buffer.byteLength <= 4096);
  assert(takeText("a").buffer.byteLength <= 4096);
});
