// Tests of the races' arithmetic: ratios, spreads, verdicts, and a goal for each row that has one.
import { assertEquals } from "@std/assert";
import { type Contest, judge, runContest, spreadOf, type Turn } from "../../bench/race/contest.ts";
import { GOALS } from "../../bench/race/goals.ts";
import { HEADLINES } from "../../bench/race/headlines.ts";
import { Place } from "../../bench/race/place.ts";
import { outcomeLine, replaceSection } from "../../bench/race/report.ts";
import { SUBJECTS } from "../../bench/race/subjects.ts";

/** A contestant that takes these turns, one after the other. */
function taking(...turns: Turn[]): () => Promise<Turn> {
  return () => Promise.resolve(turns.shift()!);
}

function contestOf(
  contestants: Contest["contestants"],
  row: Pick<Contest["rows"][number], "by" | "goal">,
): Contest {
  return {
    work: "work",
    unit: "message",
    contestants,
    rows: [{ ours: "ours", baseline: "theirs", ...row }],
  };
}

Deno.test("a ratio of speeds compares turn by turn what each took for a unit", async () => {
  const contest = contestOf({
    theirs: taking({ serverMicros: 1, loadMicros: 1, perSecond: 100 }, { serverMicros: 2 }),
    ours: taking({ serverMicros: 2, loadMicros: 6, perSecond: 50 }, { serverMicros: 1 }),
  }, { by: "server", goal: "echo one at a time" });
  const [outcome] = await runContest(contest, 2);
  assertEquals(outcome!.ratio, { median: 1.25, least: 0.5, greatest: 2 });
  assertEquals(outcome!.verdict, "noisy");
  // Not every turn was timed.
  assertEquals(outcome!.wall, undefined);
  assertEquals(outcome!.each!.ours.median, 1.5);
});

Deno.test("both sides, wall clock and values are compared each in its own direction", async () => {
  const turns = () => ({
    theirs: taking({ serverMicros: 1, loadMicros: 3, perSecond: 100, value: 10 }),
    ours: taking({ serverMicros: 4, loadMicros: 4, perSecond: 300, value: 30 }),
  });
  for (const [by, ratio] of [["both", 0.5], ["wall", 3], ["value", 3]] as const) {
    const [outcome] = await runContest(contestOf(turns(), { by }), 1);
    assertEquals(outcome!.ratio!.median, ratio, by);
    assertEquals(outcome!.verdict, "no goal");
  }
});

Deno.test("a contestant that is not at hand skips its rows, and says why", async () => {
  let asked = 0;
  const contest = contestOf({
    theirs: () => {
      asked++;
      return Promise.resolve("it is not at hand");
    },
    ours: () => Promise.resolve({ serverMicros: 1 }),
  }, { by: "server", goal: "echo one at a time" });
  const [outcome] = await runContest(contest, 3);
  assertEquals([outcome!.verdict, outcome!.why, asked], ["skipped", "it is not at hand", 1]);
  assertEquals(outcomeLine(outcome!).endsWith("skipped: it is not at hand"), true);
});

Deno.test("a contestant that fails once is out of the race, and the others go on", async () => {
  let taken = 0;
  const contest = contestOf({
    theirs: taking({ serverMicros: 1 }, { serverMicros: 1 }),
    ours: () => taken++ === 0 ? Promise.resolve({ serverMicros: 1 }) : Promise.reject(Error("no")),
  }, { by: "server" });
  const [outcome] = await runContest(contest, 2);
  assertEquals([outcome!.verdict, outcome!.why], ["skipped", "it failed: no"]);
});

Deno.test("a goal inside the spread is neither met nor missed", () => {
  const spread = { median: 1, least: 0.9, greatest: 1.2 };
  assertEquals(judge(spread, { atLeast: 0.9 }), "met");
  assertEquals(judge(spread, { atLeast: 1 }), "noisy");
  assertEquals(judge(spread, { atLeast: 1.3 }), "not met");
  assertEquals(judge(spread, { atMost: 1.2 }), "met");
  assertEquals(judge(spread, { atMost: 1 }), "noisy");
  assertEquals(judge(spread, { atMost: 0.8 }), "not met");
});

Deno.test("spreadOf() takes the middle of two as the median", () => {
  assertEquals(spreadOf([4, 1, 3, 2]), { median: 2.5, least: 1, greatest: 4 });
});

Deno.test("every row compares contestants of its contest, and there is a row for each goal and headline", async () => {
  const goals = new Set<string>();
  const found = new Set<string>();
  for (const quick of [false, true]) {
    await using place = await Place.open({ seconds: 1, pairs: 1, quick });
    for (const subject of SUBJECTS) {
      for (const { work, contestants, rows } of subject.contests(place)) {
        for (const row of rows) found.add(`${work}: ${row.ours}, ${row.baseline}`);
        assertEquals(work.startsWith(subject.name), true, work);
        for (const { ours, baseline, goal } of rows) {
          assertEquals(ours in contestants && baseline in contestants, true, `${work}: ${ours}`);
          if (goal !== undefined) goals.add(goal);
        }
      }
    }
  }
  assertEquals([...goals].sort(), Object.keys(GOALS).sort());
  for (const { work, ours, baseline } of HEADLINES) {
    assertEquals(found.has(`${work}: ${ours}, ${baseline}`), true, `no row for "${work}"`);
  }
});

Deno.test("replaceSection() changes the section with the title, and no other", () => {
  const document = "# Title\n\n## One\n\nold\n\n## Two\n\nold\n";
  assertEquals(
    replaceSection(document, "## One\n\nnew\n"),
    "# Title\n\n## One\n\nnew\n\n## Two\n\nold\n",
  );
  assertEquals(
    replaceSection(document, "## Two\n\nnew\n"),
    "# Title\n\n## One\n\nold\n\n## Two\n\nnew\n",
  );
  assertEquals(replaceSection(document, "## Three\n"), `${document}\n## Three\n`);
});
