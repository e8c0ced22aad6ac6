// Tests of jsonText(): no text of a peer reaches a terminal as something that it obeys.
import { assert, assertEquals } from "@std/assert";
import { jsonText } from "../../../cli/output/json_text.ts";

const HOSTILE = "\u001b[2J\u009b2J\u007f\u202eevil\u2066\u2028\u200b\u{e0041} \ud800 line\nfeed";

Deno.test("jsonText() escapes what a terminal obeys or what turns text around, in names too, and reads back as it was", () => {
  const value = { [HOSTILE]: [HOSTILE], plain: "日本 ✓ é" };
  for (const indent of [0, 2]) {
    const text = jsonText(value, indent);
    assert(!/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text), JSON.stringify(text));
    assert(text.includes("日本 ✓ é"));
    assertEquals(JSON.parse(text), value);
  }
  assertEquals(jsonText(value).split("\n").length, 1);
});
