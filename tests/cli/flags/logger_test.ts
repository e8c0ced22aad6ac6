// The log of the commands: levels, both formats, and nothing in it that a terminal obeys or that is secret.
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { LOG_LEVELS } from "../../../cli/flags/logging.ts";
import { type LoggingOptions, openLogger } from "../../../cli/flags/logger.ts";
import { ClosedError } from "../../../errors.ts";
import type { Logger } from "../../../log/logger.ts";
import { runProgram } from "../../support/programs/program.ts";

/** The lines that `use` has the logger write. */
function linesOf(options: LoggingOptions, use: (logger: Logger) => void): string[] {
  const lines: string[] = [];
  use(openLogger({ colours: false, ...options, write: (line) => lines.push(line) }));
  return lines;
}

/** The one JSON line of a warning, read back. */
function jsonOf(message: string, fields?: Record<string, unknown>): Record<string, unknown> {
  const lines = linesOf({ format: "json" }, (logger) => logger.warn(message, fields));
  assertEquals(lines.length, 1);
  assert(!lines[0]!.includes("\n"));
  return JSON.parse(lines[0]!);
}

Deno.test("openLogger() writes the lines of its level and above, and none when it is off", () => {
  const seen = LOG_LEVELS.map((level) =>
    linesOf({ level, format: "json" }, (logger) => {
      logger.debug("a");
      logger.info("b");
      logger.warn("c");
      logger.error("d");
    }).map((line) => JSON.parse(line).level)
  );
  assertEquals(seen, [
    ["debug", "info", "warn", "error"],
    ["info", "warn", "error"],
    ["warn", "error"],
    ["error"],
    [],
  ]);
});

Deno.test("openLogger() writes text as time, level, message and fields", () => {
  const [line, bare] = linesOf({}, (logger) => {
    logger.warn("A handshake failed", {
      phase: "handshake",
      connection: 7,
      peer: "a b",
      tls: { alpn: null },
    });
    logger.info("Done");
  });
  const time = /^\d\d:\d\d:\d\d\.\d{3} /;
  assertMatch(line!, time);
  assertEquals(
    line!.replace(time, ""),
    `WARN  A handshake failed  phase=handshake connection=7 peer="a b" tls={"alpn":null}`,
  );
  assertEquals(bare!.replace(time, ""), "INFO  Done");
});

Deno.test("openLogger() colours text only where it is asked to", () => {
  const [coloured] = linesOf({ colours: true }, (logger) => logger.error("No", { port: 1 }));
  assert(coloured!.includes("\x1b[31mERROR\x1b[0m No"), coloured);
  for (const format of ["text", "json"] as const) {
    const [line] = linesOf({ format }, (logger) => logger.error("No", { port: 1 }));
    assertNotMatch(line!, /\p{Cc}/u);
  }
});

Deno.test("openLogger() writes JSON with the same four names, whatever the fields are called", () => {
  const fields = { level: "mine", time: 1, message: "x", phase: "accept" };
  const { time, ...rest } = jsonOf("Refused", fields);
  assertMatch(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assertEquals(rest, { level: "warn", message: "Refused", fields });
  assertEquals(jsonOf("Refused")["fields"], {});
});

Deno.test("openLogger() takes braces in a message for what they are", () => {
  const message = "peer says {token} {{x}} {*} }{";
  assertEquals(jsonOf(message, { token: "s3cret" })["message"], message);
});

Deno.test("openLogger() hides what a field's name tells to be secret, at every depth", () => {
  const fields = {
    token: "s3cret",
    PASSWORD: "s3cret",
    tls: { key: "s3cret", privateKey: "s3cret", cert: "shown" },
    list: [{ passphrase: "s3cret" }],
    bytes: new TextEncoder().encode("s3cret"),
    keyFile: "shown.key",
  };
  for (const format of ["text", "json"] as const) {
    const [line] = linesOf({ format }, (logger) => logger.info("x", fields));
    assertNotMatch(line!, /s3cret/);
    assertMatch(line!, /\[hidden\].*"shown".*\[6 bytes\].*shown\.key/);
  }
});

Deno.test("openLogger() leaves nothing in a line that a terminal obeys or that turns text", () => {
  const hostile = "a\x1b[2J\nb\x9b31m\u202e\u2028\u{e0041}";
  for (const format of ["text", "json"] as const) {
    const [line] = linesOf({ format }, (logger) => logger.info(hostile, { [hostile]: hostile }));
    assertNotMatch(line!, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  }
  const { message, fields } = jsonOf(hostile, { text: hostile });
  assertEquals([message, fields], [hostile, { text: hostile }], "JSON must read back as it was");
  const [escaped] = linesOf({}, (logger) => logger.info("was a\\x1b[2J"));
  assertMatch(escaped!, /was a\\x1b\[2J$/, "what is escaped already must not be escaped again");
});

Deno.test("openLogger() shows errors with code and cause, as text without the stack", () => {
  const error = new ClosedError("ERR_CLOSED", "Gone", { cause: new TypeError("inner") });
  const { fields } = jsonOf("Failed", { error }) as { fields: { error: Record<string, unknown> } };
  const { stack, cause, ...rest } = fields.error;
  assertEquals(rest, { name: "ClosedError", code: "ERR_CLOSED", message: "Gone" });
  assertMatch(String(stack), /logger_test\.ts/);
  assertEquals((cause as Record<string, unknown>)["message"], "inner");
  const [line] = linesOf({}, (logger) => logger.error("Failed", { error }));
  assertMatch(line!, /error=\{"name":"ClosedError","code":"ERR_CLOSED","message":"Gone",/);
  assertNotMatch(line!, /logger_test/);
});

Deno.test("openLogger() stays bounded and calm whatever the fields hold", () => {
  const circle: Record<string, unknown> = { big: 1n, nan: NaN, call: () => {}, nothing: undefined };
  circle["self"] = circle;
  const wide = {
    long: "x".repeat(100_000),
    many: Array.from({ length: 1000 }, (_, index) => index),
  };
  const { fields } = jsonOf("x".repeat(100_000), { circle, wide }) as {
    fields: Record<string, unknown>;
  };
  const shown = fields["circle"] as Record<string, unknown>;
  assertEquals([shown["big"], shown["nan"], shown["call"]], ["1", "NaN", "[function]"]);
  assert(JSON.stringify(fields).length < 6000);
});

Deno.test("openLogger() has each line out on standard error before the process ends", async () => {
  const [json, text] = await Promise.all([
    runProgram("tests/cli/logging_program.ts", ["json"]),
    runProgram("tests/cli/logging_program.ts", ["text"]),
  ]);
  assertEquals([json.code, json.stdout, text.stdout], [3, "", ""]);
  assertEquals(json.stderr.trimEnd().split("\n").map((line) => JSON.parse(line).message), [
    "Listening",
    "Failed",
  ]);
  assertMatch(text.stderr, /INFO {2}Listening {2}port=5555\n.*ERROR Failed {2}token=\[hidden\]\n$/);
});
