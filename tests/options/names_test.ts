// checkOptionNames(): options that do not exist are refused, with the name that was probably meant.
import { assertEquals, assertThrows } from "@std/assert";
import { checkOptionNames, meantName, type OptionNames } from "../../options/names.ts";

const NAMES: OptionNames<{ port?: number; hostname?: string; limits?: { perSource?: object } }> = {
  port: true,
  hostname: true,
  limits: { perSource: { messagesPerSecond: true } },
};

Deno.test("checkOptionNames() takes what it knows, at any depth, set or not", () => {
  checkOptionNames("Cannot listen", { port: 1, hostname: undefined }, NAMES);
  checkOptionNames("Cannot listen", { limits: { perSource: { messagesPerSecond: 5 } } }, NAMES);
});

Deno.test("checkOptionNames() refuses a misspelt name, with the one that was meant and where it is", () => {
  const cases: Array<[object, string]> = [
    [{ prot: 1 }, `there is no option "prot": did you mean "port"?`],
    [{ Hostname: "x" }, `there is no option "Hostname": did you mean "hostname"?`],
    [{ limits: { perSorce: {} } }, `no option "limits.perSorce": did you mean "limits.perSource"?`],
    [
      { limits: { perSource: { messagePerSecond: 1 } } },
      `did you mean "limits.perSource.messagesPerSecond"?`,
    ],
  ];
  for (const [given, text] of cases) {
    assertThrows(() => checkOptionNames("Cannot listen", given, NAMES), TypeError, text);
  }
});

Deno.test("checkOptionNames() lists the names where none resembles what was given", () => {
  assertThrows(
    () => checkOptionNames("Cannot listen", { colour: "red" }, NAMES),
    TypeError,
    `Cannot listen: there is no option "colour", there are "port", "hostname", "limits"`,
  );
});

Deno.test("checkOptionNames() leaves alone what is no object of options: its type is checked elsewhere", () => {
  for (const given of [undefined, null, 5, "text", [1], () => {}]) {
    checkOptionNames("Cannot listen", given, NAMES);
    checkOptionNames("Cannot listen", { limits: given }, NAMES);
  }
});

Deno.test("checkOptionNames() does not take names of every object for options", () => {
  for (const name of ["toString", "constructor", "__proto__", "hasOwnProperty"]) {
    const given = JSON.parse(`{ ${JSON.stringify(name)}: 1 }`);
    assertThrows(() => checkOptionNames("Cannot listen", given, NAMES), TypeError, `"${name}"`);
  }
});

Deno.test("checkOptionNames() cuts a name of any length", () => {
  const error = assertThrows(
    () => checkOptionNames("Cannot listen", { ["x".repeat(100_000)]: 1 }, NAMES),
    TypeError,
  );
  assertEquals(error.message.length < 300, true);
});

Deno.test("meantName() finds what differs by a few letters, and nothing else", () => {
  const known = ["maxConnections", "maxDelayMs", "caFile", "timeoutMs"];
  assertEquals(meantName("maxConection", known), "maxConnections");
  assertEquals(meantName("maxDelay", known), "maxDelayMs");
  assertEquals(meantName("caFiles", known), "caFile");
  assertEquals(meantName("timeoutms", known), "timeoutMs");
  assertEquals(meantName("verbose", known), undefined);
  assertEquals(meantName("anything", []), undefined);
});
