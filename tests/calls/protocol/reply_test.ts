// Replies: round trips, every cut, and bytes of strangers.
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeFailure, encodeValue, readReply } from "../../../calls/protocol/reply.ts";
import { ProtocolError } from "../../../errors.ts";
import { concat, hex, utf8 } from "../../support/bytes.ts";
import { effort, propertySeed } from "../../support/random.ts";
import { refusedOrRead } from "./refused.ts";

const RUNS = { numRuns: 500 * effort, seed: propertySeed };

const anyIssue = fc.record({
  path: fc.array(fc.oneof(fc.string(), fc.nat()), { maxLength: 5 }),
  message: fc.string({ maxLength: 60 }),
});
const anyFailure = fc.record({
  by: fc.constantFrom("handler" as const, "parley" as const),
  code: fc.string({ minLength: 1, maxLength: 64 }),
  message: fc.string({ unit: "grapheme", maxLength: 200 }),
  data: fc.jsonValue().filter((value) =>
    !Object.is(value, -0) && !JSON.stringify(value).includes("-0")
  ),
  issues: fc.array(anyIssue, { maxLength: 16 }),
});

Deno.test("a value comes back as it was", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (payload) => {
      const reply = readReply(encodeValue(payload));
      assertEquals(reply, { kind: "value", payload });
    }),
    RUNS,
  );
});

Deno.test("a failure comes back as it was", () => {
  fc.assert(
    fc.property(anyFailure, (failure) => {
      assertEquals(readReply(encodeFailure(failure)), {
        kind: "failure",
        failure: { ...failure, data: JSON.parse(JSON.stringify(failure.data)) },
      });
    }),
    RUNS,
  );
});

Deno.test("texts and issues of failures are cut, at either side", () => {
  const issue = { path: ["a", 0], message: "wrong" };
  const failure = {
    by: "parley",
    code: "ERR_INPUT_INVALID",
    message: "m".repeat(2000),
    issues: Array.from({ length: 40 }, () => issue),
  } as const;
  const read = readReply(encodeFailure(failure));
  if (read.kind !== "failure") throw new Error("It is a failure");
  assertEquals(read.failure.message.length, 1024);
  assertEquals(read.failure.issues?.length, 16);
  const json = JSON.stringify({ code: "X", message: "m".repeat(2000), issues: failure.issues });
  const raw = readReply(concat([hex("01"), utf8(json)]));
  if (raw.kind !== "failure") throw new Error("It is a failure");
  assertEquals([raw.failure.message.length, raw.failure.issues?.length], [1024, 16]);
});

Deno.test("a failure that says nothing sensible is refused, or read with what is sensible", () => {
  const read = (json: string) => readReply(concat([hex("01"), utf8(json)]));
  const none = [
    "",
    "1",
    "null",
    "[]",
    "{}",
    '{"code":1}',
    '{"code":""}',
    "{",
    `{"code":"${"C".repeat(65)}"}`,
  ];
  for (const json of none) assertThrows(() => read(json), ProtocolError, undefined, json);
  const odd =
    '{"code":"C","message":7,"issues":[null,1,{"path":"x"},{"path":[{},"a"],"message":[]}]}';
  assertEquals(read(odd), {
    kind: "failure",
    failure: {
      by: "handler",
      code: "C",
      message: "",
      data: undefined,
      issues: [
        { path: [], message: "" },
        { path: [], message: "" },
        { path: [], message: "" },
        { path: ["a"], message: "" },
      ],
    },
  });
});

Deno.test("every cut of a failure, and an unknown kind, is refused", () => {
  const bytes = encodeFailure({ by: "handler", code: "ERR_NO", message: "no", data: { a: 1 } });
  for (let length = 0; length < bytes.length; length++) {
    const error = assertThrows(() => readReply(bytes.subarray(0, length)), ProtocolError);
    assertEquals(error.code, "ERR_CALL_FRAME", `${length} bytes`);
  }
  for (let kind = 3; kind < 256; kind++) {
    assertThrows(() => readReply(Uint8Array.of(kind, 1, 2)), ProtocolError);
  }
});

Deno.test("mutated replies and random bytes are read or refused, and nothing else", () => {
  const change = fc.tuple(fc.nat(2000), fc.nat(255));
  fc.assert(
    fc.property(
      anyFailure,
      fc.array(change, { maxLength: 6 }),
      fc.nat(2000),
      (failure, changes, cut) => {
        const bytes = encodeFailure(failure);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        refusedOrRead(() => readReply(bytes.subarray(0, cut)));
      },
    ),
    RUNS,
  );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => refusedOrRead(() => readReply(bytes))), RUNS);
});
