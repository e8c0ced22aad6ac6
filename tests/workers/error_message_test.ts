// Tests of errors as messages between threads.
import { assert, assertEquals } from "@std/assert";
import { ClosedError, FramingError, RemoteError, SchemaError, TimeoutError } from "@parley/parley";
import { decodeError, encodeError } from "../../workers/error_message.ts";

Deno.test("decodeError() restores class, code, fields, text, stack and causes through a structured clone", () => {
  const cause = new Deno.errors.NotFound("no file");
  const errors = [
    new ClosedError("ERR_RESET", "gone", { unsentBytes: 5, cause }),
    new TimeoutError("ERR_DRAIN_TIMEOUT", "late", { cutConnections: 2, cutBytes: 70 }),
    new FramingError("ERR_FRAME_MALFORMED", "bad"),
    new RemoteError("ERR_SOLD_OUT", "none left"),
    new SchemaError("ERR_INPUT_INVALID", "bad", { issues: [{ path: ["a", 1], message: "no" }] }),
    new RangeError("out of range", { cause: "a text" }),
    Object.assign(new Error("of the system"), { name: "SystemError", code: "EMFILE" }),
  ];
  for (const error of errors) {
    const twin = decodeError(structuredClone(encodeError(error))) as Error;
    assertEquals(twin.constructor, error.constructor);
    assertEquals(
      [twin.name, twin.message, twin.stack, { ...twin }],
      [error.name, error.message, error.stack, { ...error }],
    );
  }
  const twin = decodeError(encodeError(errors[0])) as Error;
  assert(twin.cause instanceof Deno.errors.NotFound);
  assertEquals(twin.cause.message, "no file");
});

Deno.test("encodeError() takes whatever a program throws", () => {
  const circle = new Error("round");
  circle.cause = circle;
  const mean = new Error("mean");
  Object.defineProperty(mean, "message", {
    get() {
      throw new Error("not even that");
    },
  });
  const issues = [{ path: [], message: "no", check: () => false }];
  const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
    [new SchemaError("ERR_INPUT_INVALID", "own issues", { issues }), /own issues/],
    ["a text", /^a text$/],
    [undefined, /^undefined$/],
    [circle, /round$/],
    [mean, /an error that cannot be read/],
    [{ toString: () => "an object" }, /^an object$/],
    [Object.create(null), /an error that cannot be read/],
    [new (class Own extends Error {})("own class"), /own class/],
  ];
  for (const [thrown, shown] of cases) {
    const twin = decodeError(structuredClone(encodeError(thrown)));
    assert(shown.test(String(twin)), String(twin));
  }
});
