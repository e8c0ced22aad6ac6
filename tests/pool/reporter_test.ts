// Tests of PoolReporter: bounded lines, and loggers that fail.
import { assertEquals } from "@std/assert";
import { PoolReporter } from "../../pool/reporter.ts";

Deno.test("PoolReporter logs ten lines of a kind in ten seconds, and onError hears of each", () => {
  const lines: string[] = [];
  const logger = { warn: (message: string) => void lines.push(message) };
  const silent = new PoolReporter(undefined, logger);
  for (let i = 0; i < 100; i++) {
    silent.report(new Error(`number ${i}`), { phase: "health", backend: "a" });
  }
  silent.report(new Error("another"), { phase: "health", backend: "b" });
  assertEquals(lines.length, 11);
  assertEquals(lines[0], "A backend of the pool is unwell: Error: number 0");

  let heard = 0;
  const reporter = new PoolReporter(() => void heard++, logger);
  for (let i = 0; i < 100; i++) reporter.report(new Error("of the caller's own"), { phase: "use" });
  assertEquals([heard, lines.length], [100, 11]);
});

Deno.test("PoolReporter goes on when onError and the logger fail, at once or later", async () => {
  const fault = new Error("A fault of the application");
  const failures: readonly (() => unknown)[] = [
    () => {
      throw fault;
    },
    () => Promise.reject(fault),
  ];
  let lines = 0;
  for (const fail of failures) {
    const logger = {
      warn() {
        lines++;
        return fail() as void;
      },
    };
    for (const onError of [undefined, fail]) {
      new PoolReporter(onError, logger).report(new Error("lost"), {
        phase: "lookup",
        backend: "a",
      });
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  assertEquals(lines, 4);
});

Deno.test("PoolReporter outlives a logger that throws or rejects, and an error that has no text", async () => {
  const lines: string[] = [];
  const loggers = [
    (line: string) => {
      lines.push(line);
      throw new Error("disk full");
    },
    // deno-lint-ignore require-await -- as a logger that writes to a file
    async (line: string) => {
      lines.push(line);
      throw new Error("disk full");
    },
  ];
  for (const warn of loggers) {
    new PoolReporter(undefined, { warn }).report(Object.create(null), { phase: "hook" });
  }
  // A rejection that nothing hears of would fail this test in the next turn of the event loop.
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(
    lines,
    Array(2).fill("A function that was given to the pool failed: what was thrown has no text"),
  );
});
