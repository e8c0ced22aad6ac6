// Report: prints outcomes as a line for a terminal, or as tables of Markdown.
import type { Outcome, Spread } from "./contest.ts";
import type { Goal } from "./goals.ts";
import type { Subject } from "./place.ts";

/** Columns of the table in a terminal. */
const WIDTHS = [62, 34, 10, 7, 7, 12, 7, 10, 10] as const;

/** Returns the head of the table. */
export function headLine(): string {
  return line([
    "subject",
    "against",
    "unit",
    "goal",
    "median",
    "spread",
    "wall",
    "ours",
    "other",
    "verdict",
  ]);
}

/** Returns one row of it. */
export function outcomeLine(outcome: Outcome): string {
  const { ratio, wall, each, verdict, why } = outcome;
  return line([
    subjectOf(outcome),
    outcome.baseline,
    outcome.unit,
    goalText(outcome.goal),
    ratio === undefined ? "" : number(ratio.median),
    ratio === undefined ? "" : range(ratio),
    wall === undefined ? "" : number(wall.median),
    each === undefined ? "" : cost(outcome, each.ours),
    each === undefined ? "" : cost(outcome, each.baseline),
    why === undefined ? verdict : `${verdict}: ${why}`,
  ]);
}

function line(cells: readonly string[]): string {
  return cells.map((cell, at) => at < 3 ? cell.padEnd(WIDTHS[at]!) : cell.padStart(WIDTHS[at] ?? 0))
    .join(" ").trimEnd();
}

/** Returns the section of a subject as the documentation has it: its title, what it is, its table. */
export function markdownSection(
  subject: Subject,
  outcomes: readonly Outcome[],
  conditions: string,
): string {
  const head = ["work", "against", "goal", "ratio", "wall clock", "ours", "verdict"];
  const rows = outcomes.map((outcome) => {
    const { ratio, wall, each, verdict, why } = outcome;
    return [
      subjectOf(outcome),
      outcome.baseline,
      goalText(outcome.goal),
      ratio === undefined ? "" : `${number(ratio.median)} (${range(ratio)})`,
      wall === undefined ? "" : number(wall.median),
      each === undefined ? "" : cost(outcome, each.ours),
      why === undefined ? verdict : `${verdict}: ${why}`,
    ];
  });
  return [
    `## ${subject.title}`,
    "",
    subject.about,
    "",
    ...[head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`),
    "",
    `${conditions}.`,
    "",
  ].join("\n");
}

/** Puts a section in the place of the one with the same title, or at the end of a document. */
export function replaceSection(document: string, section: string): string {
  const title = section.slice(0, section.indexOf("\n") + 1);
  const start = document.indexOf(title);
  if (start === -1) return `${document}\n${section}`;
  const end = document.indexOf("\n## ", start);
  return document.slice(0, start) + section + (end === -1 ? "" : document.slice(end));
}

function subjectOf({ work, ours }: Outcome): string {
  return ours === "" ? work : `${work}: ${ours}`;
}

function goalText(goal: Goal | undefined): string {
  if (goal === undefined) return "";
  return "atLeast" in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
}

function range({ least, greatest }: Spread): string {
  return `${number(least)}–${number(greatest)}`;
}

function number(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

function cost({ by, unit }: Outcome, { median }: Spread): string {
  if (by !== "value") {
    return median >= 10_000 ? `${number(median / 1000)} ms` : `${number(median)} µs`;
  }
  return unit === "bytes" ? `${number(median / 1024)} KiB` : `${number(median)} ${unit}`;
}
