// Tests of showMessage(): nothing that a peer sends moves a terminal or hides on it.
import { assertEquals } from "@std/assert";
import { showMessage } from "../../../cli/commands/connect/show.ts";

const CASES: readonly (readonly [message: string | number[], shown: string])[] = [
  ["plain, C:\\dir, tab\there, ✓ 日本", "plain, C:\\dir, tab\there, ✓ 日本"],
  ["", ""],
  ["\x1b]0;title\x07", "\\x1b]0;title\\x07"],
  ["two\nlines\r", "two\\nlines\\r"],
  ["\u202eevil\u2028", "\\u202eevil\\u2028"],
  ["\u009b31m", "\\x9b31m"],
  [[0], "[1 byte] 00"],
  [[0xff, 0xfe, 65], "[3 bytes] ff fe 41"],
  [[0x1a, 0x41], "[2 bytes] 1a 41"],
];

for (const [message, shown] of CASES) {
  Deno.test(`showMessage() shows ${JSON.stringify(message)} as ${JSON.stringify(shown)}`, () => {
    const bytes = typeof message === "string"
      ? new TextEncoder().encode(message)
      : new Uint8Array(message);
    assertEquals(showMessage(bytes, { hex: false, keepLines: false }), shown);
  });
}

Deno.test("showMessage() cuts hexadecimal, and keeps lines where asked to", () => {
  const long = showMessage(new Uint8Array(1300), { hex: false, keepLines: false });
  assertEquals(long, `[1,300 bytes] ${Array(256).fill("00").join(" ")} … and 1,044 more`);
  const text = new TextEncoder().encode("a\nb\x1b\n");
  assertEquals(showMessage(text, { hex: false, keepLines: true }), "a\nb\\x1b\n");
  assertEquals(showMessage(text, { hex: true, keepLines: true }), "[5 bytes] 61 0a 62 1b 0a");
});
