// Tests of error lines: strangers do not fill the log, and nothing is logged twice.
import { assertEquals } from "@std/assert";
import { serverErrorsTo, wireErrorsTo } from "../../../cli/output/error_lines.ts";
import { LimitedLines } from "../../../cli/output/limited_lines.ts";
import { AuthError, FramingError, ProtocolError, TimeoutError } from "../../../errors.ts";
import { recorder } from "../../support/recording_logger.ts";

/** A logger, and its lines. */
Deno.test("wireErrorsTo() and serverErrorsTo() tell ten lines of a kind, whatever strangers do", () => {
  const { logger, lines } = recorder();
  using limited = new LimitedLines(logger);
  const [ofWire, ofServer] = [wireErrorsTo(limited), serverErrorsTo(limited)];
  for (let i = 0; i < 100; i++) {
    ofWire(new ProtocolError("ERR_WIRE_FRAME", "x"), { phase: "handshake" });
    ofServer(new FramingError("ERR_FRAME_TOO_LARGE", "x"), { phase: "handler" });
  }
  assertEquals(lines.length, 20);
});

Deno.test("serverErrorsTo() lets no early ends of one code hide those of another", () => {
  const { logger, lines } = recorder();
  using limited = new LimitedLines(logger);
  const ofServer = serverErrorsTo(limited);
  for (let i = 0; i < 100; i++) {
    ofServer(new FramingError("ERR_FRAME_TOO_LARGE", "x"), { phase: "connection" });
  }
  ofServer(new TimeoutError("ERR_IDLE_TIMEOUT", "idle"), { phase: "connection" });
  assertEquals(lines.length, 11);
});

Deno.test("wireErrorsTo() and serverErrorsTo() leave out what others tell", () => {
  const { logger, lines } = recorder();
  using limited = new LimitedLines(logger);
  const [ofWire, ofServer] = [wireErrorsTo(limited), serverErrorsTo(limited)];
  ofWire(new AuthError("ERR_AUTH", "x"), { phase: "handshake" });
  ofWire(new Error("x"), { phase: "listen" });
  ofServer(new Error("x"), { phase: "listen" });
  ofServer(new Error("y"), { phase: "hook" });
  assertEquals(lines, [["warn", "A hook failed", { reason: "y" }]]);
});
