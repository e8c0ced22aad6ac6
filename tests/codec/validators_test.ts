// zod, valibot and arktype behind json(): each validates, transforms once, and names paths alike.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { Connection, memoryPair, SchemaError } from "@parley/parley";
import { json, typed } from "@parley/parley/codec";

const utf8 = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** The same order in each library: `at` is text that becomes a `Date`, `note` has a default. */
function orders(onTransform: () => void) {
  const toDate = (text: string) => (onTransform(), new Date(text));
  return {
    zod: z.object({
      items: z.array(z.object({ price: z.number(), tags: z.array(z.array(z.string())) })),
      at: z.string().transform(toDate),
      note: z.string().default("none"),
    }),
    valibot: v.object({
      items: v.array(v.object({ price: v.number(), tags: v.array(v.array(v.string())) })),
      at: v.pipe(v.string(), v.transform(toDate)),
      note: v.optional(v.string(), "none"),
    }),
    arktype: type({
      items: type({ price: "number", tags: "string[][]" }).array(),
      at: type("string").pipe(toDate),
      note: "string = 'none'",
    }),
  } satisfies Record<string, StandardSchemaV1>;
}

const ITEM = { price: 7, tags: [["a"], ["b", "c"]] };
const AT = "2026-11-28T00:00:00.000Z";

for (const library of ["zod", "valibot", "arktype"] as const) {
  Deno.test(`${library}: fits, with defaults, and transforms that run once`, () => {
    let transforms = 0;
    const codec = json<StandardSchemaV1>(orders(() => transforms++)[library]);
    const sent = codec.encode({ items: [ITEM], at: AT });
    assertEquals(transforms, 0);
    assertEquals(codec.decode(sent), { items: [ITEM], at: new Date(AT), note: "none" });
    assertEquals(transforms, 1);
  });

  Deno.test(`${library}: the path of what does not fit, through nested arrays`, async (t) => {
    const codec = json<StandardSchemaV1>(orders(() => {})[library]);
    const secret = "hunter2";
    const cases: [unknown, string, (string | number)[]][] = [
      [{ items: [], at: 1 }, `"at"`, ["at"]],
      [{ items: {}, at: AT }, `"items"`, ["items"]],
      [{ items: [ITEM, { ...ITEM, price: secret }], at: AT }, `"items[1].price"`, [
        "items",
        1,
        "price",
      ]],
      [
        { items: [ITEM, { ...ITEM, tags: [["a"], ["b", 5]] }], at: AT },
        `"items[1].tags[1][1]"`,
        ["items", 1, "tags", 1, 1],
      ],
      ["order", "the value", []],
    ];
    for (const [value, shown, path] of cases) {
      await t.step(shown, () => {
        const error = assertThrows(() => codec.decode(utf8(value)), SchemaError);
        assertEquals(error.code, "ERR_MESSAGE_INVALID");
        assertEquals(error.message, `Cannot read the message: ${shown} does not fit the schema`);
        assertEquals(error.issues.map((issue) => issue.path), [path]);
        assertEquals(error.issues[0]!.message.length > 0, true);
      });
    }
  });

  Deno.test(`${library}: a value of a thousand faults holds 16 of them`, () => {
    const codec = json<StandardSchemaV1>(orders(() => {})[library]);
    const items = Array.from({ length: 1000 }, () => ({ price: "x", tags: [] }));
    const error = assertThrows(() => codec.decode(utf8({ items, at: AT })), SchemaError);
    assertEquals(error.issues.length, 16);
    assertEquals(error.issues[15]!.path, ["items", 15, "price"]);
  });
}

const isEven = async (value: number) => {
  await Promise.resolve();
  return value % 2 === 0;
};

/** Schemas that validate asynchronously; arktype has none. */
const ASYNC = {
  zod: z.object({ n: z.number().refine(isEven, "must be even") }),
  valibot: v.objectAsync({ n: v.pipeAsync(v.number(), v.checkAsync(isEven, "must be even")) }),
};

for (const [library, schema] of Object.entries(ASYNC)) {
  Deno.test(`${library}: an asynchronous schema, by decodeAsync and over a link`, async () => {
    const codec = json(schema);
    assertThrows(() => codec.decode(utf8({ n: 2 })), TypeError, `use "decodeAsync"`);
    assertEquals(await codec.decodeAsync!(utf8({ n: 2 })), { n: 2 });
    const error = await assertRejects(
      async () => await codec.decodeAsync!(utf8({ n: 3 })),
      SchemaError,
    );
    assertEquals(error.issues, [{ path: ["n"], message: "must be even" }]);

    const [near, far] = memoryPair();
    const [sending, receiving] = [
      typed(new Connection(near), codec),
      typed(new Connection(far), codec),
    ];
    for (let n = 0; n < 6; n++) await sending.send({ n });
    const seen: string[] = [];
    for (let left = 6; left > 0; left--) {
      seen.push(await receiving.receive().then((value) => `${value?.n}`, (error) => error.code));
    }
    const bad = "ERR_MESSAGE_INVALID";
    assertEquals(seen, ["0", bad, "2", bad, "4", bad]);
    sending.abort();
    receiving.abort();
  });
}

Deno.test("json: the text of an error never repeats the value, whatever the library's message says", () => {
  const secret = "hunter2";
  const schemas: StandardSchemaV1[] = [
    z.object({ pin: z.literal("1") }),
    v.object({ pin: v.literal("1") }),
    type({ pin: "'1'" }),
  ];
  for (const schema of schemas) {
    const error = assertThrows(() => json(schema).decode(utf8({ pin: secret })), SchemaError);
    assertEquals(error.message.includes(secret), false);
    assertEquals(error.message.includes(`"pin"`), true);
  }
});

Deno.test("json: a schema that recurses too deeply for the stack costs that message", async () => {
  interface Tree {
    readonly next?: Tree | undefined;
  }
  const tree: z.ZodType<Tree> = z.object({ next: z.lazy(() => tree).optional() });
  const depth = 100_000;
  const deep = new TextEncoder().encode(`{"next":`.repeat(depth) + "{}" + "}".repeat(depth));
  // zod takes whatever its synchronous run throws for a sign that it must wait.
  const error = await assertRejects(async () => await json(tree).decodeAsync!(deep), SchemaError);
  assertEquals(error.message, "Cannot read the message: its schema failed");
});
