// What `deno test` says at its end: read from several runs, added up, and said once.

/** How many tests there were of each kind. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
}

/** Nothing has run. */
export const NO_COUNTS: Counts = { passed: 0, failed: 0, ignored: 0 };

const SUMMARY = /^(?:ok|FAILED) \| \d+ passed.*$/gm;

/** The counts of the last summary in a text; none if there is none. */
export function countsOf(text: string): Counts {
  const summary = text.match(SUMMARY)?.at(-1) ?? "";
  const count = (word: string) => Number(new RegExp(`(\\d+) ${word}`).exec(summary)?.[1] ?? 0);
  return { passed: count("passed"), failed: count("failed"), ignored: count("ignored") };
}

/** A text without its summaries, so that no reader takes one of them for the whole. */
export function withoutSummary(text: string): string {
  return text.replace(SUMMARY, "");
}

/** Sum of two. */
export function addCounts(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    ignored: a.ignored + b.ignored,
  };
}

/** The summary as Deno words it, which `.ci/run` reads. */
export function summaryLine({ passed, failed, ignored }: Counts, ms: number): string {
  const seconds = Math.round(ms / 1000);
  const time = seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  const left = ignored > 0 ? ` | ${ignored} ignored` : "";
  return `${failed === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed${left} (${time})`;
}
