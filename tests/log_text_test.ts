// Log text: nothing from a peer reaches a terminal or a log file unescaped, and not too much of it.
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { errorText, escapeForLog, KindRateLimiter } from "../log/text.ts";

Deno.test("escapeForLog() leaves ordinary text of any language alone", () => {
  for (const text of ["", "hello world", "Grüße, 世界 — 🎉", "שלום", `"quoted" <b>`]) {
    assertEquals(escapeForLog(text), text);
  }
});

Deno.test("escapeForLog() escapes what ends lines, moves terminals, hides or turns text", () => {
  const cases: [string, string][] = [
    ["a\nb\r\tc", "a\\nb\\r\\tc"],
    ["\x00\x07\x1b[2J\x7f", "\\x00\\x07\\x1b[2J\\x7f"],
    ["\x85\x9b31m", "\\x85\\x9b31m"],
    ["\u2028\u2029", "\\u2028\\u2029"],
    ["\u202e\u2066\u200e\u061c", "\\u202e\\u2066\\u200e\\u061c"],
    ["\u200b\u200d\ufeff\u00ad", "\\u200b\\u200d\\ufeff\\xad"],
    ["\u{e0041}", "\\u{e0041}"],
    ["\ud800x\udc00", "\\ud800x\\udc00"],
    ["\\n", "\\\\n"],
  ];
  for (const [text, escaped] of cases) assertEquals(escapeForLog(text), escaped);
});

Deno.test("escapeForLog() cuts above 256 characters, and marks the cut", () => {
  assertEquals(escapeForLog("x".repeat(255)), "x".repeat(255));
  assertEquals(escapeForLog("x".repeat(256)), "x".repeat(256));
  assertEquals(escapeForLog("x".repeat(257)), "x".repeat(255) + "…");
});

Deno.test("escapeForLog() cuts neither an escape nor a surrogate pair in two", () => {
  assertEquals(escapeForLog("ab\x1bcd", 6), "ab…");
  assertEquals(escapeForLog("ab\x1b", 6), "ab\\x1b");
  assertEquals(escapeForLog("ab🎉cd", 4), "ab…");
  assertEquals(escapeForLog("ab🎉cd", 5), "ab🎉…");
  assertEquals(escapeForLog("ab", 1), "…");
  assertEquals(escapeForLog("ab", 0), "");
});

Deno.test("escapeForLog() is safe, short and unambiguous for any text", () => {
  const unit = fc.oneof(
    fc.constantFrom("\n", "\x1b", "\u202e", "\u2028", "\ud800", "\udc00", "\\", "x", "🎉", "\x9b"),
    fc.string({ unit: "binary", maxLength: 1 }),
  );
  const text = fc.array(unit, { maxLength: 40 }).map((units) => units.join(""));
  fc.assert(fc.property(text, fc.nat(60), (given, max) => {
    const escaped = escapeForLog(given, max);
    assert(escaped.length <= max);
    assert(escaped.isWellFormed());
    assert(!/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(escaped));
    const whole = escapeForLog(given, 10_000);
    assert(
      escaped === whole || max === 0 ||
        escaped.endsWith("…") && whole.startsWith(escaped.slice(0, -1)),
    );
    assertEquals(readBack(whole), given);
  }));
});

/** Reads escapes back. */
function readBack(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]+)\}|(.))/g,
    (_, byte, short, long, other) => {
      const hex = byte ?? short ?? long;
      if (hex !== undefined) {
        return short === undefined
          ? String.fromCodePoint(parseInt(hex, 16))
          : String.fromCharCode(parseInt(hex, 16));
      }
      return { n: "\n", r: "\r", t: "\t", "\\": "\\" }[other as "n"] ?? "";
    },
  );
}

Deno.test("escapeForLog() reads no more of a large text than it shows", () => {
  const large = "\x1b".repeat(20_000_000);
  const startedAt = performance.now();
  assertEquals(escapeForLog(large).length, 253);
  assert(performance.now() - startedAt < 5_000);
});

Deno.test("KindRateLimiter writes so many lines of a kind per interval, then tells how many it left out", () => {
  const limiter = new KindRateLimiter({ maxPerInterval: 2, intervalMs: 1_000 });
  assertEquals(limiter.ask("a", 0), { write: true, leftOut: 0 });
  assertEquals(limiter.ask("a", 1), { write: true, leftOut: 0 });
  assertEquals(limiter.ask("a", 2), { write: false });
  assertEquals(limiter.ask("a", 999), { write: false });
  assertEquals(limiter.ask("a", 1_000), { write: true, leftOut: 2 });
  assertEquals(limiter.ask("a", 1_001), { write: true, leftOut: 0 });
});

Deno.test("KindRateLimiter counts each kind by itself", () => {
  const limiter = new KindRateLimiter({ maxPerInterval: 1 });
  assertEquals(limiter.ask("a", 0).write, true);
  assertEquals(limiter.ask("b", 0).write, true);
  assertEquals(limiter.ask("a", 0).write, false);
});

Deno.test("KindRateLimiter holds at most maxKinds; those beyond share one allowance", () => {
  const limiter = new KindRateLimiter({ maxPerInterval: 1, maxKinds: 2 });
  assertEquals(["a", "b", "c", "d", "e"].map((kind) => limiter.ask(kind, 0).write), [
    true,
    true,
    true,
    false,
    false,
  ]);
});

Deno.test("KindRateLimiter goes on when the clock is set back", () => {
  const limiter = new KindRateLimiter({ maxPerInterval: 1 });
  limiter.ask("a", 1e9);
  assertEquals(limiter.ask("a", 0).write, true);
});

/** Errors that cannot be read: what application code throws may be anything. */
const UNREADABLE: readonly unknown[] = [
  Object.create(null),
  {
    toString() {
      throw new Error("no text");
    },
  },
  Object.defineProperty(new Error("x"), "message", {
    get() {
      throw new Error("no message");
    },
  }),
  Object.defineProperty(new Error("x"), "name", { value: Symbol("no name") }),
];

Deno.test("errorText() takes whatever was thrown, and never throws", () => {
  assertEquals(errorText(new RangeError("a\nb")), "RangeError: a\\nb");
  assertEquals([errorText("text"), errorText(undefined), errorText(Symbol("s"))], [
    "text",
    "undefined",
    "Symbol(s)",
  ]);
  for (const error of UNREADABLE) assertEquals(errorText(error), "what was thrown has no text");
});
