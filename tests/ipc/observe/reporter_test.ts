// What IPC logs, and how much of it.
import { assertEquals, assertThrows } from "@std/assert";
import { LimitError, type ParleyError, ProtocolError } from "../../../errors.ts";
import { IpcReporter, resolveLogger } from "../../../ipc/observe/reporter.ts";
import { MemoryLogger } from "../channels.ts";
import { inEnv } from "../support.ts";

const METHODS = ["debug", "info", "warn", "error"] as const;

/** Which levels get through to standard error. */
function heard(): string[] {
  const lines: string[] = [];
  const before = console.error;
  console.error = (line: string) => lines.push(line);
  try {
    const logger = resolveLogger("Cannot test", undefined);
    for (const method of METHODS) logger[method]("text");
  } finally {
    console.error = before;
  }
  return lines;
}

Deno.test("resolveLogger takes its level from PARLEY_LOG, warn without", async () => {
  const lines = METHODS.map((method) => `parley ${method}: text`);
  for (
    const [value, count] of [
      ["debug", 4],
      ["info", 3],
      ["WARN", 2],
      ["error", 1],
      ["off", 0],
      [undefined, 2],
      ["", 2],
      ["true", 4],
      ["TRUE", 4],
      [" debug ", 4],
      ["1", 4],
      ["yes", 4],
      ["on", 4],
      ["warning", 2],
      ["false", 0],
      ["0", 0],
      ["no", 0],
      ["none", 0],
    ] as const
  ) {
    await inEnv(
      { PARLEY_LOG: value },
      () => Promise.resolve(assertEquals(heard(), lines.slice(4 - count), value)),
    );
  }
  for (const value of ["loud", "constructor", "2"]) {
    await inEnv(
      { PARLEY_LOG: value },
      () => Promise.resolve(assertThrows(heard, RangeError, "PARLEY_LOG")),
    );
  }
});

Deno.test("IpcReporter limits each code by itself, so that one kind of fault does not hide another", () => {
  const told: string[] = [];
  const reporter = new IpcReporter(
    (error, { phase, peer }) => told.push(`${phase} ${(error as ParleyError).code} ${peer}`),
    new MemoryLogger(),
  );
  const frame = new ProtocolError("ERR_IPC_FRAME", "x");
  for (let i = 0; i < 100; i++) reporter.report(frame, "connection", "a");
  reporter.report(new ProtocolError("ERR_IPC_RECORD", "x"), "connection", "b");
  const full = new LimitError("ERR_TOO_MANY_CONNECTIONS", "x");
  for (let i = 0; i < 100; i++) reporter.report(full, "refused");
  assertEquals(told, [
    ...Array(10).fill("connection ERR_IPC_FRAME a"),
    "connection ERR_IPC_RECORD b",
    "refused ERR_TOO_MANY_CONNECTIONS undefined",
  ]);
});

Deno.test("IpcReporter tells the user's handler, else the logger, escaped and not without end", () => {
  const logger = new MemoryLogger();
  const reporter = new IpcReporter(undefined, logger);
  for (let i = 0; i < 100; i++) reporter.report(new Error("bad\x1b[31m\nnews"), "handshake");
  assertEquals(logger.lines.length, 10);
  assertEquals(
    logger.lines[0],
    'warn A handshake failed: Error: bad\\x1b[31m\\nnews {"phase":"handshake","leftOut":0}',
  );
  const told: unknown[] = [];
  const own = new IpcReporter((error, context) => told.push([error, context.phase]), logger);
  own.report("x", "query");
  assertEquals([told, logger.lines.length], [[["x", "query"]], 10]);
  const broken = new IpcReporter(() => {
    throw new Error("in the handler");
  }, logger);
  broken.report("x", "accept");
});
