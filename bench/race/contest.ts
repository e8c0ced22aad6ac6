// Contest: contestants do the same work in turns, and each row compares two of them.
import type { Measured } from "../peers/meter.ts";
import { type Goal, type GoalName, GOALS } from "./goals.ts";

/** What one turn of a contestant came to: work and its time, or a value such as bytes. */
export type Turn = Partial<Measured> & {
  /** A value that is no time of a unit: less of it is better. */
  readonly value?: number;
};

/**
 * What a row compares. Processor time for a unit, of the server or of both sides, and the time by
 * wall clock are compared as speeds: more is better. Of the contestants' values less is better.
 */
export type Measure = "server" | "both" | "wall" | "value";

/** One row of a table: two contestants, and what is compared. */
export interface Row {
  /** Contestant that is judged. */
  readonly ours: string;
  /** Contestant that it is compared to. */
  readonly baseline: string;
  /** What is compared. */
  readonly by: Measure;
  /** Its goal; a row without one is there for comparison. */
  readonly goal?: GoalName | undefined;
}

/** Contestants of one work. They take turns. */
export interface Contest {
  /** What is done; `--only` compares the beginning of it. */
  readonly work: string;
  /** What is counted. */
  readonly unit: string;
  /** Each contestant's turn, or a text that says why it cannot take part. */
  readonly contestants: Readonly<Record<string, () => Promise<Turn | string>>>;
  /** What is compared. */
  readonly rows: readonly Row[];
}

/** A median and the range around it. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
}

/** How a row came out. */
export type Verdict = "met" | "not met" | "noisy" | "no goal" | "skipped";

/** What a row came to. */
export interface Outcome {
  readonly work: string;
  readonly unit: string;
  readonly ours: string;
  readonly baseline: string;
  readonly by: Measure;
  readonly goal: Goal | undefined;
  readonly verdict: Verdict;
  /** Why it was skipped. */
  readonly why?: string;
  /** Ratios of the turns by what is compared. */
  readonly ratio?: Spread;
  /** Ratios of the turns by wall clock, where the contestants are timed. */
  readonly wall?: Spread;
  /** What each took for a unit, in µs of what is compared, or its value. */
  readonly each?: { readonly ours: Spread; readonly baseline: Spread };
}

/** Lets all contestants take `pairs` turns and returns what each row came to. */
export async function runContest(contest: Contest, pairs: number): Promise<Outcome[]> {
  const turns = new Map<string, Turn[]>();
  const absent = new Map<string, string>();
  for (let pair = 0; pair < pairs; pair++) {
    const order = Object.entries(contest.contestants);
    // On a machine that slows down, or warms up, none is always the later one.
    if (pair % 2 === 1) order.reverse();
    for (const [name, take] of order) {
      if (absent.has(name)) continue;
      const turn = await take().catch(failure);
      if (typeof turn === "string") absent.set(name, turn);
      else turns.set(name, [...turns.get(name) ?? [], turn]);
    }
  }
  return contest.rows.map((row) => outcomeOf(contest, row, turns, absent));
}

/** A turn that fails is no reason to lose all others. */
function failure(error: unknown): string {
  return `it failed: ${error instanceof Error ? error.message : error}`;
}

function outcomeOf(
  { work, unit }: Contest,
  row: Row,
  turns: ReadonlyMap<string, Turn[]>,
  absent: ReadonlyMap<string, string>,
): Outcome {
  const { by } = row;
  const goal = row.goal && GOALS[row.goal];
  const about = { work, unit, ours: row.ours, baseline: row.baseline, by, goal };
  const why = absent.get(row.ours) ?? absent.get(row.baseline);
  if (why !== undefined) return { ...about, verdict: "skipped", why };
  const [ours, baseline] = [turns.get(row.ours)!, turns.get(row.baseline)!];
  const costs = [ours, baseline].map((list) => list.map((turn) => costOf(turn, by))) as [
    number[],
    number[],
  ];
  const ratio = spreadOf(
    costs[0].map((own, at) => by === "value" ? own / costs[1][at]! : costs[1][at]! / own),
  );
  const timed = [...ours, ...baseline].every(({ perSecond }) => perSecond !== undefined);
  return {
    ...about,
    verdict: judge(ratio, goal),
    ratio,
    ...timed &&
      { wall: spreadOf(ours.map((own, at) => own.perSecond! / baseline[at]!.perSecond!)) },
    each: { ours: spreadOf(costs[0]), baseline: spreadOf(costs[1]) },
  };
}

function costOf(turn: Turn, by: Measure): number {
  const { serverMicros: server = 0, loadMicros: load = 0, value = NaN } = turn;
  switch (by) {
    case "server":
      return server;
    case "both":
      return server + load;
    case "wall":
      return 1e6 / (turn.perSecond ?? NaN);
    case "value":
      return value;
  }
}

/** A goal that lies inside the spread is neither met nor missed: the run was too noisy to say. */
export function judge({ least, greatest }: Spread, goal: Goal | undefined): Verdict {
  if (goal === undefined) return "no goal";
  if ("atLeast" in goal) {
    return least >= goal.atLeast ? "met" : greatest < goal.atLeast ? "not met" : "noisy";
  }
  return greatest <= goal.atMost ? "met" : least > goal.atMost ? "not met" : "noisy";
}

/** Returns the median of some values, and their range. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, greatest: sorted.at(-1)! };
}
