// Tests of parseJson(): it reads what JSON.parse reads, and says where a text stops being JSON.
import { assertEquals, assertThrows } from "@std/assert";
import { parseJson } from "../../../cli/command/json_input.ts";
import { UsageError } from "../../../cli/command/usage.ts";

Deno.test("parseJson reads every kind of value", () => {
  for (const text of ["null", " 5 ", '"a\\u0041"', "[1, [], {}]", '{"a": {"b": [true, false]}}']) {
    assertEquals(parseJson(text, "JSON"), JSON.parse(text));
  }
});

/** Texts, what is found, and where: the line and the column. */
const FAULTS: readonly (readonly [text: string, fault: string, line: number, column: number])[] = [
  ["", "it ends too early", 1, 1],
  ["  ", "it ends too early", 1, 3],
  ["[1, 2", "it ends too early", 1, 6],
  ['{"a": ', "it ends too early", 1, 7],
  ['"abc', "it ends too early", 1, 5],
  ['{"a": 1,}', '"}" is unexpected', 1, 9],
  ["[1,]", '"]" is unexpected', 1, 4],
  ["[}", '"}" is unexpected', 1, 2],
  ['{"a" 1}', '"1" is unexpected', 1, 6],
  ['{"a": 1}}', '"}" is unexpected', 1, 9],
  ["1 2", '"2" is unexpected', 1, 3],
  ["[1:2]", '":" is unexpected', 1, 3],
  [",", '"," is unexpected', 1, 1],
  ["01", '"0" is unexpected', 1, 1],
  ["-", '"-" is unexpected', 1, 1],
  ['"a\nb"', '"\\n" is unexpected', 1, 3],
  ['"\\x"', '"\\\\" is unexpected', 1, 2],
  ['{"a": NaN}', '"N" is unexpected', 1, 7],
  ['{\n  "a": 1,\n  "b" 2\n}', '"2" is unexpected', 3, 7],
  ["\u{1F600}", '"\u{1F600}" is unexpected', 1, 1],
];

for (const [text, fault, line, column] of FAULTS) {
  Deno.test(`parseJson says where ${JSON.stringify(text)} stops being JSON`, () => {
    assertThrows(() => JSON.parse(text));
    const wanted = `JSON is not valid: ${fault} at line ${line}, column ${column}`;
    const { message } = assertThrows(() => parseJson(text, "JSON"), UsageError);
    assertEquals(message, wanted);
  });
}

Deno.test("parseJson says what was meant where a shell took the quotes, or none were typed", () => {
  const cases: [text: string, hint: string][] = [
    ["hello", `column 1: text is typed as '"hello"'`],
    ["two words", `column 1: text is typed as '"two words"'`],
    ["{a: 1}", `column 2: names and texts are in double quotes, as in '{"name": "text"}'`],
    ["{'a': 1}", `column 2: names and texts are in double quotes, as in '{"name": "text"}'`],
    ['{"a": 1, b: 2}', `column 10: names and texts are in double quotes`],
  ];
  for (const [text, hint] of cases) assertThrows(() => parseJson(text, "JSON"), UsageError, hint);
});
