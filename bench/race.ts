// Runs the races: every table of docs/performance.md, or those that `--only` names.
import { parseArgs } from "@std/cli/parse-args";
import { type Outcome, runContest } from "./race/contest.ts";
import { readmeSection } from "./race/headlines.ts";
import { Place, type Settings, type Subject } from "./race/place.ts";
import { canPin } from "./race/programs.ts";
import { headLine, markdownSection, outcomeLine, replaceSection } from "./race/report.ts";
import { SUBJECTS } from "./race/subjects.ts";

const HELP = `Usage: deno task bench:race [options]

Everything takes an hour on a machine that does nothing else; --quick a third of that.

  --only TEXT     only works that begin with this; may be given more than once
  --quick         short turns, 3 pairs, a tenth of the connections and bytes
  --pairs N       turns of each contestant (5)
  --seconds N     time of a turn in s (1; with --quick 0.5)
  --json          print every figure as JSON
  --markdown      print the sections as docs/performance.md has them
  --into FILE     put them in the place of those in a file; then deno fmt FILE
  --readme FILE   put the section of a whole run into the README; then deno fmt FILE
  --list          print the works, run nothing

Subjects: ${SUBJECTS.map(({ name }) => name).join(", ")}`;

const flags = parseArgs(Deno.args, {
  string: ["only", "pairs", "seconds", "into", "readme"],
  boolean: ["quick", "json", "markdown", "list", "help"],
  collect: ["only"],
  unknown: (name) => {
    console.error(`There is no option ${name}\n\n${HELP}`);
    Deno.exit(2);
  },
});
const settings: Settings = {
  seconds: Number(flags.seconds ?? (flags.quick ? 0.5 : 1)),
  pairs: Number(flags.pairs ?? (flags.quick ? 3 : 5)),
  quick: flags.quick,
};
if (!(settings.seconds > 0) || !(settings.pairs >= 1)) {
  console.error(`--seconds and --pairs must be numbers above 0\n\n${HELP}`);
  Deno.exit(2);
}

/** Whether a work was asked for; a subject whose name does not fit is not even prepared. */
function isWanted(work: string): boolean {
  return flags.only.length === 0 || flags.only.some((start) => work.startsWith(start));
}

function mayBeWanted({ name }: Subject): boolean {
  return flags.only.length === 0 ||
    flags.only.some((start) => start.startsWith(name) || name.startsWith(start));
}

/** Runs one subject, and prints each row as it is known. */
async function run(subject: Subject, place: Place): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const contest of subject.contests(place)) {
    if (!isWanted(contest.work)) continue;
    if (flags.list) {
      console.log(contest.work);
      continue;
    }
    const results = await runContest(contest, settings.pairs).finally(() => place.endServers());
    for (const outcome of results) {
      outcomes.push(outcome);
      console.error(outcomeLine(outcome));
    }
  }
  return outcomes;
}

async function commit(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", {
      args: ["describe", "--always", "--dirty"],
      cwd: new URL(".", import.meta.url),
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trim() || "unknown";
  } catch {
    return "unknown";
  }
}

if (flags.help) {
  console.log(HELP);
  Deno.exit(0);
}
if (Deno.build.os !== "linux") {
  console.error("Cannot race: processor time is read from /proc, which only Linux has");
  Deno.exit(1);
}
await using place = await Place.open(settings);
const machine = {
  deno: Deno.version.deno,
  commit: await commit(),
  cores: navigator.hardwareConcurrency,
  pinned: canPin(),
  load: Deno.loadavg()[0]!,
  ...settings,
};
const conditions = `Deno ${machine.deno}, commit ${machine.commit}, ${machine.cores} cores, ` +
  (machine.pinned ? "server on core 0, load on core 1" : "not pinned: taskset is not at hand") +
  `, load average ${
    machine.load.toFixed(1)
  }; ${settings.pairs} turns of ${settings.seconds} s each`;
console.error(`${conditions}.\n\n${headLine()}`);
const tables = new Map<Subject, Outcome[]>();
for (const subject of SUBJECTS.filter(mayBeWanted)) tables.set(subject, await run(subject, place));
if (flags.json) {
  console.log(JSON.stringify({ ...machine, outcomes: [...tables.values()].flat() }, null, 2));
}
if (!flags.list && [...tables.values()].every((outcomes) => outcomes.length === 0)) {
  console.error(`No work begins with "${flags.only.join('", "')}"; --list prints them all`);
  Deno.exitCode = 1;
}
const sections = [...tables].filter(([, outcomes]) => outcomes.length > 0)
  .map(([subject, outcomes]) => markdownSection(subject, outcomes, conditions));
if (flags.markdown) console.log(sections.join("\n"));
if (flags.into !== undefined) {
  const document = sections.reduce(replaceSection, await Deno.readTextFile(flags.into));
  await Deno.writeTextFile(flags.into, document);
}
if (flags.readme !== undefined) {
  const section = readmeSection([...tables.values()].flat(), conditions);
  const readme = replaceSection(await Deno.readTextFile(flags.readme), section);
  await Deno.writeTextFile(flags.readme, readme);
}
