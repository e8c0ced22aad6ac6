// Checks of option values: types, ranges at, below and above each bound, and the texts of the errors.
import { assertEquals, assertThrows } from "@std/assert";
import {
  checkBoolean,
  checkDurationMs,
  checkFunction,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkText,
  MAX_TIMER_MS,
} from "../../options/check.ts";

const ACTION = "Cannot listen";

Deno.test("checkInteger() gives back whole numbers from min to max, both included", () => {
  for (const value of [1, 2, 99, 100]) {
    assertEquals(checkInteger(ACTION, "max", value, 1, 100), value);
  }
});

Deno.test("checkInteger() refuses numbers below and above the range with a RangeError that tells the value", () => {
  for (const value of [0, 101, -1, 2 ** 60]) {
    assertThrows(
      () => checkInteger(ACTION, "maxMessageBytes", value, 1, 100),
      RangeError,
      `Cannot listen: "maxMessageBytes" must be 1 to 100, current value is ${value}`,
    );
  }
});

Deno.test("checkInteger() refuses numbers that are not whole with a RangeError", () => {
  for (const value of [1.5, NaN, Infinity, -Infinity]) {
    assertThrows(
      () => checkInteger(ACTION, "max", value, 1, 100),
      RangeError,
      `must be a whole number, 1 to 100`,
    );
  }
});

Deno.test("checkInteger() refuses other types with a TypeError that shows no content of objects", () => {
  const cases: [unknown, string][] = [
    ["5", `"5"`],
    ["x".repeat(65), "a text of 65 characters"],
    [null, "null"],
    [undefined, "undefined"],
    [true, "true"],
    [5n, "5n"],
    [{ secret: "hunter2" }, "an object"],
    [["hunter2"], "an array"],
    [() => 5, "a function"],
    [Symbol("hunter2"), "a symbol"],
  ];
  for (const [value, shown] of cases) {
    const error = assertThrows(() => checkInteger(ACTION, "max", value, 1, 100), TypeError);
    assertEquals(error.message, `Cannot listen: "max" must be a number, current value is ${shown}`);
  }
});

Deno.test("checkNumber() takes fractions in the range, and refuses what is outside or no number", () => {
  for (const value of [0.25, 0.5, 10]) {
    assertEquals(checkNumber(ACTION, "rate", value, 0.25, 10), value);
  }
  for (const value of [0.24, 10.01, NaN, Infinity]) {
    assertThrows(
      () => checkNumber(ACTION, "rate", value, 0.25, 10),
      RangeError,
      `must be 0.25 to 10`,
    );
  }
  assertThrows(() => checkNumber(ACTION, "rate", "1", 0.25, 10), TypeError);
});

Deno.test("checkDurationMs() takes 1 ms to the longest timer by default, and neither 0 nor Infinity", () => {
  for (const value of [1, 1.5, 1000, MAX_TIMER_MS]) {
    assertEquals(checkDurationMs(ACTION, "ms", value), value);
  }
  for (const value of [0, -1, 0.5, MAX_TIMER_MS + 1, Infinity, NaN]) {
    assertThrows(
      () => checkDurationMs(ACTION, "ms", value),
      RangeError,
      `must be 1 to 2147483647, current`,
    );
  }
  assertThrows(() => checkDurationMs(ACTION, "ms", "1"), TypeError);
});

Deno.test("checkDurationMs() takes 0 and Infinity where the rule allows them, and says so when it refuses", () => {
  const rule = { minMs: 10, maxMs: 20, allowOff: true, allowInfinity: true };
  for (const value of [0, 10, 20, Infinity]) {
    assertEquals(checkDurationMs(ACTION, "ms", value, rule), value);
  }
  for (const value of [1, 9.9, 20.1, -0.1, -Infinity, NaN]) {
    assertThrows(
      () => checkDurationMs(ACTION, "ms", value, rule),
      RangeError,
      `must be 0 (off) or 10 to 20 or Infinity`,
    );
  }
});

Deno.test("checkDurationMs() gives 0 for -0, so that nobody divides by it", () => {
  assertEquals(Object.is(checkDurationMs(ACTION, "ms", -0, { allowOff: true }), 0), true);
});

Deno.test("checkBoolean() takes only booleans", () => {
  assertEquals([checkBoolean(ACTION, "on", true), checkBoolean(ACTION, "on", false)], [
    true,
    false,
  ]);
  for (const value of [0, 1, "true", null, undefined]) {
    assertThrows(() => checkBoolean(ACTION, "on", value), TypeError, `must be true or false`);
  }
});

Deno.test("checkOneOf() takes only the listed texts, and lists them when it refuses", () => {
  assertEquals(checkOneOf(ACTION, "mode", "a", ["a", "b", "c"]), "a");
  assertThrows(
    () => checkOneOf(ACTION, "mode", "d", ["a", "b", "c"]),
    RangeError,
    `"a", "b" or "c"`,
  );
  assertThrows(
    () => checkOneOf(ACTION, "mode", "d", ["a"]),
    RangeError,
    `must be "a", current value is "d"`,
  );
  assertThrows(() => checkOneOf(ACTION, "mode", 1, ["a"]), TypeError);
});

Deno.test("checkText() takes texts whose length is in the range", () => {
  for (const value of ["a", "abc"]) assertEquals(checkText(ACTION, "name", value, 1, 3), value);
  for (const value of ["", "abcd"]) {
    assertThrows(
      () => checkText(ACTION, "name", value, 1, 3),
      RangeError,
      "a text of 1 to 3 characters",
    );
  }
  assertThrows(() => checkText(ACTION, "name", 5, 1, 3), TypeError);
});

Deno.test("checkFunction() takes only functions", () => {
  checkFunction(ACTION, "onError", () => {});
  assertThrows(
    () => checkFunction(ACTION, "onError", {}),
    TypeError,
    `"onError" must be a function`,
  );
});
