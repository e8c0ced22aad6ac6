// Tests of PoolReporter: what fails in reporting ends nothing.
import { assertEquals } from "@std/assert";
import { PoolReporter } from "../../pool/reporter.ts";

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
