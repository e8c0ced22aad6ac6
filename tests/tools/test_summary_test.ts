// Tests of what is read from the summaries of several test runs.
import { assertEquals } from "@std/assert";
import {
  addCounts,
  countsOf,
  NO_COUNTS,
  summaryLine,
  withoutSummary,
} from "../../tools/test_summary.ts";

const TEXT = `running 2 tests from ./a_test.ts
a says "ok | 7 passed" ... ok (1ms)

FAILED | 1867 passed (23 steps) | 2 failed (1 step) | 3 ignored | 4 filtered out (2m20s)

error: Test failed
`;

Deno.test("countsOf() reads the summary of Deno, and nothing where there is none", () => {
  assertEquals(countsOf(TEXT), { passed: 1867, failed: 2, ignored: 3 });
  assertEquals(countsOf("ok | 1 passed | 0 failed (1ms)"), { passed: 1, failed: 0, ignored: 0 });
  assertEquals(countsOf("error: Module not found"), NO_COUNTS);
  assertEquals(countsOf(withoutSummary(TEXT)), NO_COUNTS);
});

Deno.test("summaryLine() is read as it was said", () => {
  const counts = addCounts({ passed: 1, failed: 0, ignored: 2 }, {
    passed: 3,
    failed: 4,
    ignored: 5,
  });
  assertEquals(counts, { passed: 4, failed: 4, ignored: 7 });
  assertEquals(summaryLine(counts, 80_400), "FAILED | 4 passed | 4 failed | 7 ignored (1m20s)");
  assertEquals(
    summaryLine({ passed: 4, failed: 0, ignored: 0 }, 999),
    "ok | 4 passed | 0 failed (1s)",
  );
  assertEquals(countsOf(summaryLine(counts, 0)), counts);
});
