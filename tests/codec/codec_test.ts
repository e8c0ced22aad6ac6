// json(), text(), bytes(): what becomes which bytes, and what is no value.
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { bytes, isCodec, json, text } from "../../codec/codec.ts";
import { SchemaError } from "../../errors.ts";
import { z } from "zod";

const utf8 = (value: string) => new TextEncoder().encode(value);

Deno.test("json: what JSON can say comes back as it was", () => {
  const codec = json();
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    assertEquals(codec.decode(codec.encode(value)), JSON.parse(JSON.stringify(value)));
  }));
});

Deno.test("json: a value without a form in JSON is the caller's mistake", async (t) => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const cases: [string, unknown][] = [
    ["undefined", undefined],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a bigint", 1n],
    ["a bigint inside", { n: [1n] }],
    ["a circle", circle],
    ["a toJSON that throws", { toJSON: () => Promise.reject.call(undefined) }],
  ];
  for (const [name, value] of cases) {
    await t.step(name, () => {
      assertThrows(() => json().encode(value), TypeError, "Cannot send: the value");
    });
  }
});

Deno.test("json: bytes that are no JSON are malformed, and are not quoted", async (t) => {
  const cases: [string, Uint8Array, string][] = [
    ["nothing", utf8(""), "it is no JSON"],
    ["half a value", utf8(`{"secret":"hunter2"`), "it is no JSON"],
    ["two values", utf8("1 2"), "it is no JSON"],
    ["NaN", utf8("NaN"), "it is no JSON"],
    ["a byte that UTF-8 has not", new Uint8Array([0x22, 0xff, 0x22]), "it is no UTF-8"],
    ["half a character", new Uint8Array([0x22, 0xe2, 0x82]), "it is no UTF-8"],
    ["an overlong form", new Uint8Array([0x22, 0xc0, 0xaf, 0x22]), "it is no UTF-8"],
    ["a surrogate", new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), "it is no UTF-8"],
  ];
  for (const codec of [json(), json(z.unknown())]) {
    for (const [name, given, why] of cases) {
      await t.step(name, () => {
        const error = assertThrows(() => codec.decode(given), SchemaError);
        assertEquals(error.code, "ERR_MESSAGE_MALFORMED");
        assertEquals(error.message, `Cannot read the message: ${why}`);
        assertEquals([error.issues, error.cause], [[], undefined]);
        assertEquals(codec.decode(utf8("1")), 1);
      });
    }
  }
});

Deno.test("json: a byte order mark is dropped, a key __proto__ is a property like any other", () => {
  assertEquals(json().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x31])), 1);
  const value = json().decode(utf8(`{"__proto__":{"isAdmin":true}}`)) as { isAdmin?: boolean };
  assertEquals(value.isAdmin, undefined);
});

Deno.test("json: refuses what is no schema, before anything is sent", () => {
  for (const schema of [undefined, null, {}, 1, { "~standard": {} }]) {
    assertThrows(() => json(schema as never), TypeError, "must be a Standard Schema");
  }
});

Deno.test("text: every well-formed text comes back as it was", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (value) => {
    assertEquals(text().decode(text().encode(value)), value);
  }));
  assertEquals(text().decode(text().encode("\ufeffA")), "\ufeffA");
  assertThrows(() => text().encode("a\ud800"), TypeError, "lone surrogate");
  assertThrows(() => text().encode(5 as never), TypeError, "must be a string, got number");
  const error = assertThrows(() => text().decode(new Uint8Array([0x80])), SchemaError);
  assertEquals(error.code, "ERR_MESSAGE_MALFORMED");
});

Deno.test("bytes: the same bytes, not a copy", () => {
  const given = new Uint8Array([1, 2]);
  assertEquals(bytes().encode(given) === given && bytes().decode(given) === given, true);
  assertThrows(() => bytes().encode("text" as never), TypeError, "must be a Uint8Array");
});

Deno.test("isCodec: knows codecs from schemas, which zod gives the same methods", () => {
  for (const codec of [json(), json(z.string()), text(), bytes()]) {
    assertEquals(isCodec(codec), true);
  }
  for (const other of [z.string(), {}, null, undefined, "json", () => 1]) {
    assertEquals(isCodec(other), false);
  }
});
