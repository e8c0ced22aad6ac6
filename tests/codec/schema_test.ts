// validate(): values that fit, values that do not, and schemas that are slow, broken or hostile.
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { json } from "../../codec/codec.ts";
import { validate } from "../../codec/schema.ts";
import { SchemaError } from "../../errors.ts";

/** A schema that answers as `check` does. */
function schemaOf(
  check: (value: unknown) => ReturnType<StandardSchemaV1["~standard"]["validate"]>,
): StandardSchemaV1 {
  return { "~standard": { version: 1, vendor: "test", validate: check } };
}

const refusing = (...issues: StandardSchemaV1.Issue[]) => schemaOf(() => ({ issues }));

function errorOf(schema: StandardSchemaV1): SchemaError {
  return assertThrows(() => validate(schema, 1, "ERR_INPUT_INVALID", "Cannot call"), SchemaError);
}

Deno.test("validate: the text names the path of the first issue", async (t) => {
  const symbol = Symbol("tag");
  const cases: [StandardSchemaV1.Issue["path"], string][] = [
    [undefined, "the value"],
    [[], "the value"],
    [["a"], '"a"'],
    [["items", 2, "price"], '"items[2].price"'],
    [[{ key: "items" }, { key: 0 }, "price"], '"items[0].price"'],
    [[0, 1], '"[0][1]"'],
    [["a b", "2x"], `"['a b']['2x']"`],
    [[""], `"['']"`],
    [[symbol, "a"], `"['Symbol(tag)'].a"`],
    [["ключ", "$_1"], '"ключ.$_1"'],
    [["a\x1b[2J"], `"['a\\x1b[2J']"`],
  ];
  for (const [path, shown] of cases) {
    await t.step(shown, () => {
      const error = errorOf(refusing({ message: "bad", ...path !== undefined && { path } }));
      assertEquals(error.code, "ERR_INPUT_INVALID");
      assertEquals(error.message, `Cannot call: ${shown} does not fit the schema`);
    });
  }
});

Deno.test("validate: a peer cannot make an error large, nor put control characters into it", () => {
  const path = Array.from({ length: 1000 }, () => "k\n".repeat(1000));
  const issues = Array.from({ length: 10_000 }, () => ({ path, message: "\x1bm".repeat(1000) }));
  const error = errorOf(refusing(...issues));
  assertEquals(error.issues.length, 16);
  assertEquals(error.issues[0]!.path.length, 32);
  assertEquals(error.issues[0]!.path[0]!.toString().length <= 64, true);
  assertEquals(error.issues[0]!.message.length <= 256, true);
  assertEquals(error.message.length < 256, true);
  assertEquals(/\p{Cc}/u.test(JSON.stringify(error.issues) + error.message), false);
  assertStringIncludes(error.message, "the first of 10000 issues");
});

Deno.test("validate: at 16 issues all are kept, at 17 the last is not", () => {
  for (const [given, kept] of [[1, 1], [16, 16], [17, 16]] as const) {
    const issues = Array.from({ length: given }, (_, at) => ({ message: "bad", path: [at] }));
    assertEquals(errorOf(refusing(...issues)).issues.length, kept);
  }
});

Deno.test("validate: the value is in no text of the error", () => {
  const schema = schemaOf((value) => ({ issues: [{ message: `Got ${value}`, path: ["pin"] }] }));
  const error = assertThrows(
    () => validate(schema, "hunter2", "ERR_MESSAGE_INVALID", "Cannot read the message"),
    SchemaError,
  );
  assertEquals(error.message.includes("hunter2"), false);
});

Deno.test("validate: a schema that throws, or answers nonsense, is a SchemaError with its cause", async () => {
  const mistake = new Error("a mistake");
  const error = errorOf(schemaOf(() => {
    throw mistake;
  }));
  assertEquals([error.message, error.cause], ["Cannot call: its schema failed", mistake]);
  errorOf(schemaOf(() => null as never));
  errorOf(schemaOf(() => ({ issues: "none" }) as never));
  for (const broken of [() => Promise.reject(mistake), () => Promise.resolve(null as never)]) {
    await assertRejects(
      async () => await validate(schemaOf(broken), 1, "ERR_INPUT_INVALID", "Cannot call"),
      SchemaError,
      "its schema failed",
    );
  }
});

Deno.test("validate: returns a promise only where the schema does", async () => {
  const sync = schemaOf((value) => ({ value }));
  assertEquals(validate(sync, "a", "ERR_INPUT_INVALID", "Cannot call"), "a");
  const slow = validate(
    schemaOf((value) => Promise.resolve({ value })),
    "a",
    "ERR_INPUT_INVALID",
    "Cannot call",
  );
  assertEquals(slow instanceof Promise, true);
  assertEquals(await slow, "a");
});

Deno.test("json: decode refuses to wait, and leaves no rejection behind", async () => {
  const codec = json(schemaOf(() => Promise.resolve({ issues: [{ message: "bad" }] })));
  const received = new TextEncoder().encode("1");
  assertThrows(() => codec.decode(received), TypeError, `use "decodeAsync"`);
  await assertRejects(async () => await codec.decodeAsync!(received), SchemaError);
});
