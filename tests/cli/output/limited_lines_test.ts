// Tests of LimitedLines: peers cannot fill a log, and what was left out is counted.
import { assertEquals } from "@std/assert";
import { LimitedLines } from "../../../cli/output/limited_lines.ts";
import { recorder } from "../../support/recording_logger.ts";

Deno.test("LimitedLines writes ten lines of a kind, each kind by itself, and at the end how many were left out", () => {
  const { logger, lines } = recorder();
  {
    using limited = new LimitedLines(logger);
    for (let i = 0; i < 25; i++) limited.write({ level: "info", text: "Joined", fields: { i } });
    for (let i = 0; i < 12; i++) {
      limited.write({ level: "warn", text: "Left", fields: { i }, kind: "ERR_RESET" });
    }
    limited.write({ level: "warn", text: "Left", fields: {}, kind: "ERR_CLOSED" });
    assertEquals(lines.length, 21);
    assertEquals(lines.at(-1), ["warn", "Left", {}]);
  }
  assertEquals(lines.slice(21), [
    ["info", "Lines were left out", { line: "Joined", leftOut: 15 }],
    ["warn", "Lines were left out", { line: "Left", leftOut: 2, code: "ERR_RESET" }],
  ]);
});

Deno.test("LimitedLines says nothing at the end where nothing was left out, and once only", () => {
  const { logger, lines } = recorder();
  const limited = new LimitedLines(logger);
  for (let i = 0; i < 11; i++) limited.write({ level: "info", text: "Joined", fields: {} });
  limited[Symbol.dispose]();
  limited[Symbol.dispose]();
  assertEquals(lines.length, 11);
  assertEquals(lines[10], ["info", "Lines were left out", { line: "Joined", leftOut: 1 }]);
});
